"""A small simulated world for `plan()`: a cluster with a clock, bundles with a fate, an operator that may die."""
