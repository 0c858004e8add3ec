"""The tests of Volary."""
