"""Networks and baselines that make frames between two frames."""
