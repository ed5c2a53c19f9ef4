"""Semantic segmentation networks and baselines."""
