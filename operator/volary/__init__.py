"""Volary delivers machine-learning models to Kubernetes."""

__version__ = "0.1.0"
