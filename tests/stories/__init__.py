"""Whole rollouts, told as logs."""
