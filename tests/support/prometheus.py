"""A real Prometheus beside the test cluster: Debian's, unpacked into the cache, scraping model pods directly.

`python -m tests.support.prometheus` only fetches it, for machines that have no network later.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import urlopen

import yaml

from tests.cluster import apt
from tests.cluster.commands import run
from tests.cluster.network import ENTER
from tests.cluster.settings import NODE_IP, Paths
from tests.support import wait
from volary.common.names import COMPONENT_LABEL, SERVER_PORT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.kubectl import Kubectl

PORT = 9190
URL = f"http://{NODE_IP}:{PORT}"  # where the pods of the test cluster reach it
_LOOK = 0.3  # seconds between two looks at the pods


def program(cache: Path) -> Path:
    """The machine's, or the cache's; fetched by apt when there is neither."""
    installed = shutil.which("prometheus")
    if installed:
        return Path(installed)
    folder = cache / "prometheus"
    found = folder / "usr" / "bin" / "prometheus"
    if not found.exists():
        package = apt.download("prometheus", folder)
        run(["dpkg-deb", "--extract", package, folder])
        package.unlink()
    return found


class Prometheus:
    """One that is there while `running`, and finds the model pods of one namespace."""

    def __init__(self, kubectl: Kubectl, namespace: str, folder: Path) -> None:
        self._kubectl = kubectl
        self._namespace = namespace
        self._folder = folder
        self._targets = folder / "targets.json"
        self._program = program(Paths.from_environment().cache)
        self._targets.write_text("[]")
        scrape = {"job_name": "models", "file_sd_configs": [{"files": [str(self._targets)], "refresh_interval": "1s"}]}
        config = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": [scrape]}
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))

    @contextmanager
    def running(self) -> Iterator[None]:
        """It answers; afterwards nothing does."""
        stop = threading.Event()
        looking = threading.Thread(target=self._look, args=(stop,), daemon=True)
        command = [
            *ENTER,
            self._program,
            f"--config.file={self._folder}/prometheus.yml",
            f"--storage.tsdb.path={self._folder}/data",
            f"--web.listen-address={NODE_IP}:{PORT}",
        ]
        with (self._folder / "log").open("ab") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
            looking.start()
            try:
                wait.until("Prometheus is ready", _ready, 60, seen=lambda: (self._folder / "log").read_text()[-2000:])
                yield
            finally:
                stop.set()
                process.kill()
                looking.join(30)

    def _look(self, stop: threading.Event) -> None:
        while not stop.wait(_LOOK):
            pods = self._kubectl.list("Pod", self._namespace, f"{COMPONENT_LABEL}=server")
            addresses = [f"{pod['status']['podIP']}:{SERVER_PORT}" for pod in pods if pod["status"].get("podIP")]
            fresh = self._targets.with_suffix(".new")
            fresh.write_text(json.dumps([{"targets": addresses}]))
            fresh.replace(self._targets)


def _ready() -> bool:
    try:
        with urlopen(f"{URL}/-/ready", timeout=2) as response:
            return bool(response.status == 200)
    except (URLError, TimeoutError, OSError):
        return False


if __name__ == "__main__":
    print(program(Paths.from_environment().cache))
