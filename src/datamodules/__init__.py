"""Data sets, procedural scenes, and how samples are ordered."""
