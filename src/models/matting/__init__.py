"""Matting networks and baselines."""
