"""Blocks that networks of several tasks share."""
