"""A module as a process in the network of the test cluster's node, where pods reach it."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.cluster.network import ENTER
from tests.cluster.settings import REPOSITORY
from tests.support import wait

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def running(module: str, *words: str) -> Iterator[str]:
    """The first line it prints, which says that it listens; it ends with the block."""
    command = [*ENTER, sys.executable, "-m", module, *words]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield wait.until(f"{module} listens", process.stdout.readline, 30).strip()
        finally:
            process.kill()
