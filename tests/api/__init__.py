"""Models and API server side by side."""
