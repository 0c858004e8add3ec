"""A simulated cluster with a clock, and the operator's loop around `plan()`: for tests, and for `volary simulate`. No I/O."""
