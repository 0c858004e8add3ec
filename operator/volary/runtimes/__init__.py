"""Knows what a model server of each kind looks like in a pod. Pure: descriptions and nothing else."""
