"""Networks that give a video another appearance, and methods that need no weights."""
