"""What edits a user's own videos."""
