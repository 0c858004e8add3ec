"""Measurements beside the tools people use today: both sides in one run, ratios instead of absolute times."""
