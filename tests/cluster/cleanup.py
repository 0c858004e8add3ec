"""Undo everything `up` did, also when it was broken off half way; and tell what is left."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster import cgroups, network, processes, s3
from tests.cluster import state as journal
from tests.cluster.commands import run, uninterrupted
from tests.cluster.errors import ClusterError
from tests.cluster.settings import CNI_NETWORK, FIXED_PLACES, KERNEL_SETTINGS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.errors import ClusterError
from tests.cluster.settings import Paths

_CNI_RESULTS = Path("/var/lib/cni/results")
_CONTAINER_LOGS = Path("/var/log/containers")
_SHIM_SOCKETS = Path("/run/containerd/s")
_KUBELET = Path("/var/lib/kubelet")
_NAMESPACES = Path("/run/netns")
_SYSCTL = Path("/proc/sys")


def remember(paths: Paths) -> None:
    """Write down how the machine was before the first component starts."""
    kernel = {}
    for name in KERNEL_SETTINGS:
        with contextlib.suppress(OSError):
            kernel[name] = (_SYSCTL / name).read_text().strip()
    created = tuple(str(place) for place in FIXED_PLACES if not place.exists())
    journal.save(paths.state, journal.State(created=created, kernel=kernel))


def remove(paths: Paths) -> None:
    """Take all of it away; may be called at any time and again."""
    with uninterrupted():
        _remove(paths)


def _remove(paths: Paths) -> None:
    memory = journal.load(paths.state)
    processes.kill(_members(paths, memory))
    cgroups.remove()
    processes.kill(_members(paths, memory))  # shims whose last container has just gone
    _unmount(paths.state)
    network.remove()
    for name, value in memory.kernel.items():
        with contextlib.suppress(OSError):
            (_SYSCTL / name).write_text(value)
    for path in _own_files(paths):
        path.unlink(missing_ok=True)
    for name in memory.created:
        _remove_fixed(Path(name))
    if paths.state.exists():
        shutil.rmtree(paths.state)


def refuse_foreign(paths: Paths) -> None:
    """There is one cluster a machine: names and addresses are the same whatever the state directory."""
    for owner, process in processes.marked():
        if owner != paths.state:
            raise ClusterError(
                f"a cluster with its state in {owner} runs here (process {process.pid}): work with it by VOLARY_STATE={owner}, "
                f"or end it by `VOLARY_STATE={owner} python -m tests.cluster down`"
            )


def leftovers(paths: Paths) -> list[str]:
    """What is still there of ours: empty after `down`."""
    members = _members(paths, journal.load(paths.state))
    return [
        *(f"process {process.pid} {process.name}" for process in members),
        *(f"mount {mount}" for mount in _mounts(paths.state)),
        *network.leftovers(),
        *cgroups.leftovers(),
        *(f"file {path}" for path in _own_files(paths)),
        *([f"directory {paths.state}"] if paths.state.exists() else []),
    ]


def _members(paths: Paths, memory: journal.State) -> list[processes.Process]:
    """What was recorded and what carries our marker, each once."""
    recorded = [process for process in memory.processes if process.alive]
    known = {process.pid for process in recorded}
    return recorded + [process for owner, process in processes.marked() if owner == paths.state and process.pid not in known]


def _unmount(root: Path) -> None:
    for mount in _mounts(root):
        run(["umount", "--lazy", mount])


def _mounts(root: Path) -> list[str]:
    """Mounts at and below `root`, the innermost first."""
    points = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = line.split()[4].encode().decode("unicode_escape")  # a space is written as \040
        if Path(point).is_relative_to(root):
            points.append(point)
    return sorted(points, key=len, reverse=True)


def _remove_fixed(place: Path) -> None:
    """Take away a place that `up` made, unless something else has moved in since."""
    if place == _KUBELET:
        shutil.rmtree(place / "device-plugins", ignore_errors=True)
    if place == _NAMESPACES and not _listing(place):
        _unmount(place)  # `ip netns` mounts the directory on itself
    if place.is_dir():
        folders = [place, *(path for path in place.rglob("*") if path.is_dir() and not path.is_symlink())]
        for folder in sorted(folders, reverse=True):
            with contextlib.suppress(OSError):  # not empty
                folder.rmdir()
    else:
        place.unlink(missing_ok=True)


def _own_files(paths: Paths) -> Iterator[Path]:
    """Our files in directories that other clusters on this machine share."""
    for link in _listing(_CONTAINER_LOGS):
        if link.is_symlink() and os.readlink(link).startswith(f"{paths.state}/"):  # noqa: PTH115 - must stay unresolved
            yield link
    for result in _listing(_CNI_RESULTS):  # named NETWORK-CONTAINER-INTERFACE; each container has one for lo too
        if result.name.startswith(f"{CNI_NETWORK}-"):
            container = result.name.split("-")[1]
            yield from _CNI_RESULTS.glob(f"*-{container}-*")
    yield from s3.sockets()
    sockets = set()  # a pod's containers share one
    for address in paths.state.glob("containerd-state/io.containerd.runtime.v2.task/*/*/address"):
        with contextlib.suppress(OSError):  # the container ended meanwhile
            sockets.add(Path(address.read_text().removeprefix("unix://")))
    yield from (socket for socket in sockets if socket.parent == _SHIM_SOCKETS and socket.exists())


def _listing(directory: Path) -> list[Path]:
    return sorted(directory.iterdir()) if directory.is_dir() else []
