"""The operator as a process that can be killed: forked from one that has its modules loaded, so that it starts at once."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from multiprocessing.context import ForkServerProcess

_PRELOADED = ["volary.controller.app", "volary.cli.run", "kubernetes.aio.client", "kubernetes.aio.config", "kopf", __name__]


def _run(environment: Mapping[str, str], log: str) -> None:
    """As `volary run` does."""
    from volary.cli import main

    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.environ.update(environment)
    sys.exit(main.main(["run"]))


class Operator:
    """One process after the other."""

    def __init__(self, kubeconfig: Path, namespace: str, log: Path, **more: str) -> None:
        self._log = log
        self._environment = {
            "KUBECONFIG": str(kubeconfig),
            "POD_NAME": "one",
            "VOLARY_AGENT_IMAGE": "volary.test/agent:none",
            "VOLARY_SERVER_IMAGE": "volary.test/server:none",
            "VOLARY_NAMESPACES": namespace,
            "VOLARY_LEASE_NAMESPACE": namespace,
            "VOLARY_LISTEN": "127.0.0.1:0",
            **more,
        }
        self._process: ForkServerProcess | None = None

    def start(self) -> None:
        """A new one that knows nothing."""
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(_PRELOADED)
        self._process = context.Process(target=_run, args=(self._environment, str(self._log)), daemon=True)
        self._process.start()

    def send(self, number: signal.Signals) -> None:
        """A signal."""
        os.kill(self.pid, number)

    async def kill(self) -> None:
        """Now, and wait until it is gone."""
        process = self._process
        if process is None:
            return
        process.kill()
        while process.is_alive():  # noqa: ASYNC110 -- a process tells nobody
            await asyncio.sleep(0.005)
        process.close()
        self._process = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        assert self._process.pid is not None
        return self._process.pid

    @contextmanager
    def running(self) -> Iterator[Operator]:
        """Started, and killed at the end."""
        self.start()
        try:
            yield self
        finally:
            if self._process is not None:
                self._process.kill()
                self._process.join()
                self._process.close()
                self._process = None

    @contextmanager
    def alone(self) -> Iterator[int]:
        """As an image starts it, for its memory: one that is forked has the modules of this process too. The process id."""
        environment = {**os.environ, **self._environment}
        with Path(self._log).open("ab") as log:
            process = subprocess.Popen([sys.executable, "-m", "volary", "run"], env=environment, stdout=log, stderr=log)
        try:
            yield process.pid
        finally:
            process.kill()
            process.wait()
