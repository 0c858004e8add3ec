"""The common room."""
