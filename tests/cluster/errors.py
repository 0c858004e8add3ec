"""The one error of the test cluster; its text tells the user what to do."""

from __future__ import annotations


class ClusterError(Exception):
    """The cluster cannot be had; the message says why and what helps."""
