"""Tests without a cluster."""
