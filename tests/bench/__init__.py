"""Benchmarks: side by side in one run, ratios in a table, no gate on absolute times."""
