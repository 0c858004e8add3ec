"""The demo: a model's life on a real cluster, told in the terminal. `python -m tests.demo`."""
