"""A real Prometheus beside the test cluster: Debian's, unpacked into the cache, scraping model pods directly.

`python -m tests.support.prometheus` only fetches it, for machines that have no network later.
"""

from __future__ import annotations

import fcntl
import json
import re
import shutil
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml

from tests.cluster import apt
from tests.cluster.commands import run
from tests.cluster.network import ENTER
from tests.cluster.settings import NODE_IP, Paths
from tests.support import promql, wait
from volary.common.names import COMPONENT_LABEL, SERVER_PORT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.kubectl import Body, Kubectl

OPERATOR_NAMESPACE = "volary-system"
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
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:  # tests in several processes may want it at the same time
        fcntl.flock(lock, fcntl.LOCK_EX)
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
        pace = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
        discovery = [{"files": [str(self._targets)], "refresh_interval": "1s"}]
        jobs = [job | {"file_sd_configs": discovery} for job in self._jobs()]
        (folder / "prometheus.yml").write_text(yaml.safe_dump({"global": pace, "scrape_configs": jobs, "rule_files": self._rules()}))

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
            fresh = self._targets.with_suffix(".new")
            fresh.write_text(json.dumps(self._found()))
            fresh.replace(self._targets)

    def _jobs(self) -> list[Body]:
        return [{"job_name": "models"}]

    def _rules(self) -> list[str]:
        return []

    def _found(self) -> list[Body]:
        """Groups of targets."""
        pods = self._kubectl.list("Pod", self._namespace, f"{COMPONENT_LABEL}=server")
        return [{"targets": [f"{pod['status']['podIP']}:{SERVER_PORT}" for pod in pods if pod["status"].get("podIP")]}]


class Monitored(Prometheus):
    """One that scrapes as monitoring/scrape.yaml says, the operator too, with all rules. Debian's cannot ask Kubernetes: told of pods."""

    def _jobs(self) -> list[Body]:
        jobs: list[Body] = yaml.safe_load((promql.MONITORING / "scrape.yaml").read_text())["scrape_configs"]
        for job in jobs:
            del job["kubernetes_sd_configs"]
        return jobs

    def _rules(self) -> list[str]:
        return [str(promql.RULES)]

    def _found(self) -> list[Body]:
        pods = [pod for space in (self._namespace, OPERATOR_NAMESPACE) for pod in self._kubectl.list("Pod", space)]
        return [{"targets": ["pod"], "labels": _meta(pod)} for pod in pods if pod["status"].get("podIP")]


def _meta(pod: Body) -> dict[str, str]:
    """What Prometheus' own discovery of pods tells of one."""
    metadata = pod["metadata"]
    prefix = "__meta_kubernetes_pod_"
    labels = {f"{prefix}label_{re.sub('[^a-zA-Z0-9]', '_', key)}": value for key, value in metadata.get("labels", {}).items()}
    return labels | {
        "__meta_kubernetes_namespace": metadata["namespace"],
        f"{prefix}name": metadata["name"],
        f"{prefix}ip": pod["status"]["podIP"],
    }


def query(expr: str) -> list[Body]:
    """The series of an instant query."""
    with urlopen(f"{URL}/api/v1/query?{urlencode({'query': expr})}", timeout=10) as response:
        found: list[Body] = json.load(response)["data"]["result"]
        return found


def _ready() -> bool:
    try:
        with urlopen(f"{URL}/-/ready", timeout=2) as response:
            return bool(response.status == 200)
    except (URLError, TimeoutError, OSError):
        return False


if __name__ == "__main__":
    print(program(Paths.from_environment().cache))
