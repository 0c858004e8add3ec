"""Beside the server in each model pod: fetches, verifies, publishes and proves the bundle."""
