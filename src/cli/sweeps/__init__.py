"""Sweeps: many runs of one program, their folder, and the table that is made of them."""
