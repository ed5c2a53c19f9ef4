"""Fixed feature extractors: networks that metrics and losses look through, with official weights."""
