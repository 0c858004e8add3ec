"""The command line: `python -m tests.cluster --help`."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from tests.cluster import binaries, cluster, images, node, prune
from tests.cluster import state as journal
from tests.cluster.errors import ClusterError
from tests.cluster.progress import Console
from tests.cluster.settings import Paths

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType


def main() -> int:
    """Run one command; a ClusterError is a message, not a traceback."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for name, (_, text) in _VERBS.items():
        verb = verbs.add_parser(name, help=text)
        if name == "kubectl":
            verb.add_argument("arguments", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _interrupt)  # so that a TERM cleans up as Ctrl-C does
    try:
        return _VERBS[options.verb][0](options)
    except ClusterError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted, cleaned up\n")
        return 130


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _up(_: argparse.Namespace) -> int:
    running = cluster.up(Console())
    _say(f"export KUBECONFIG={running.kubeconfig}")
    return 0


def _down(_: argparse.Namespace) -> int:
    cluster.down(Console())
    left = cluster.leftovers()
    for line in left:
        sys.stderr.write(f"left: {line}\n")
    return 1 if left else 0


def _status(_: argparse.Namespace) -> int:
    paths = Paths.from_environment()
    memory = journal.load(paths.state)
    for process in memory.processes:
        condition = "running" if process.alive else "ENDED"
        log = paths.logs / f"{process.name}.log"
        _say(f"{process.name:24} {condition:8} {process.pid:>8} {process.memory / 2**20:6.0f} MiB  {log}")
    is_ready = memory.ready and node.ready(paths)
    _say(f"node: {'Ready' if is_ready else 'not Ready' if memory.processes else 'no cluster'}")
    return 0 if is_ready else 1


def _build(_: argparse.Namespace) -> int:
    for name, path in cluster.prepare(Paths.from_environment(), Console()).items():
        _say(f"{name} {path}")
    return 0


def _images(_: argparse.Namespace) -> int:
    for name, reference in asdict(images.load_images(_running(), Console())).items():
        _say(f"export VOLARY_{name.upper()}_IMAGE={reference}")
    return 0


def _prune(_: argparse.Namespace) -> int:
    for line in prune.prune(Paths.from_environment(), Console()):
        _say(f"removed {line}")
    return 0


def _kubectl(options: argparse.Namespace) -> int:
    paths = Paths.from_environment()
    kubectl = binaries.locate(paths.cache).get("kubectl")
    if not kubectl:
        message = "kubectl is not built yet: `python -m tests.cluster build`"
        raise ClusterError(message)
    kubeconfig = cluster.brought() or paths.kubeconfig
    arguments = options.arguments[1:] if options.arguments[:1] == ["--"] else options.arguments
    os.execve(kubectl, ["kubectl", *arguments], {**os.environ, "KUBECONFIG": str(kubeconfig)})


def _s3(_: argparse.Namespace) -> int:
    _say(json.dumps(asdict(_running().s3), indent=1))
    return 0


def _env(_: argparse.Namespace) -> int:
    running = _running()
    _say(f"export KUBECONFIG={running.kubeconfig}")
    _say(f"export VOLARY_S3_ENDPOINT={running.s3.endpoint}")
    _say(f"export AWS_ACCESS_KEY_ID={running.s3.access_key}")
    _say(f"export AWS_SECRET_ACCESS_KEY={running.s3.secret_key}")
    return 0


def _running() -> cluster.Cluster:
    if not cluster.brought() and not cluster.running(Paths.from_environment()):
        message = "no cluster: `python -m tests.cluster up`"
        raise ClusterError(message)
    return cluster.up()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


_VERBS: dict[str, tuple[Callable[[argparse.Namespace], int], str]] = {
    "up": (_up, "start the cluster, or say that it is up"),
    "down": (_down, "end it and remove everything but the cache"),
    "status": (_status, "components, memory, logs"),
    "build": (_build, "only install packages and build programs"),
    "images": (_images, "build Volary's images and import them"),
    "prune": (_prune, "remove from the cache what nothing uses any more"),
    "kubectl": (_kubectl, "kubectl against the cluster: kubectl -- get pods"),
    "s3": (_s3, "address and keys of the storage"),
    "env": (_env, "shell lines that point other tools at the cluster"),
}

if __name__ == "__main__":
    sys.exit(main())
