"""Super-resolution networks, their discriminators, and methods that need no weights."""
