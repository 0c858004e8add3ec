"""What the cluster tests need is made before the first of them, shown as it goes, and outside of any test's time limit."""

from __future__ import annotations

import sys

import pytest
from hypothesis import settings

from tests.cluster import ClusterError, load_images, up
from tests.cluster.progress import Console

# A machine that does other things too is slow now and then: time is what `timeout` of pytest watches.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


def pytest_collection_finish(session: pytest.Session) -> None:
    """A cold machine builds Kubernetes for minutes: no test's `timeout` has room for that."""
    if session.config.option.collectonly or not any(item.get_closest_marker("cluster") for item in session.items):
        return
    capture = session.config.pluginmanager.getplugin("capturemanager")
    try:
        with capture.global_and_fixture_disabled():
            console = Console(sys.stderr)  # as it is here: an earlier one is the captured one
            cluster = up(console)
            if cluster.own:
                load_images(cluster, console)
    except ClusterError as error:
        pytest.exit(str(error), returncode=pytest.ExitCode.INTERNAL_ERROR)
