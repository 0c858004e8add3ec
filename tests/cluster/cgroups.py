"""The cgroup tree of our pods: made for the kubelet, emptied and taken away by `down`."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster import processes
from tests.cluster.settings import CGROUP

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOUNT = Path("/sys/fs/cgroup")


def create() -> None:
    """The kubelet insists that its root exists in every hierarchy."""
    if (_MOUNT / "cgroup.controllers").exists():  # version 2: one hierarchy
        controllers = (_MOUNT / "cgroup.controllers").read_text().split()
        (_MOUNT / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in controllers))
        (_MOUNT / CGROUP).mkdir(exist_ok=True)
        return
    for hierarchy in _MOUNT.iterdir():
        # Links (cpu -> cpu,cpuacct) name a hierarchy twice; a folder without the file is no hierarchy.
        if (hierarchy / "cgroup.procs").exists() and not hierarchy.is_symlink():
            (hierarchy / CGROUP).mkdir(exist_ok=True)
    for name in ("cpuset.cpus", "cpuset.mems"):  # a cpuset starts empty and then holds no process
        if (_MOUNT / "cpuset" / name).exists():
            content = (_MOUNT / "cpuset" / name).read_text()
            (_MOUNT / "cpuset" / CGROUP / name).write_text(content)


def remove() -> None:
    """End what runs in our pods, then remove the folders from the leaves up."""
    for root in _roots():
        # A container runtime may still be forking: look until the tree is empty.
        for _ in range(20):
            members = processes.in_groups(root.rglob("cgroup.procs"))
            if not members:
                break
            processes.kill(members)
        folders = [root, *(path for path in root.rglob("*") if path.is_dir())]
        for folder in sorted(folders, key=lambda path: len(path.parts), reverse=True):
            with contextlib.suppress(FileNotFoundError):
                _remove_folder(folder)


def leftovers() -> list[str]:
    """Our trees that still exist."""
    return [f"cgroup {root}" for root in _roots()]


def _remove_folder(folder: Path) -> None:
    """The kernel frees a group a moment after its last process."""

    def gone() -> bool:
        with contextlib.suppress(OSError):
            folder.rmdir()
        return not folder.exists()

    processes.wait_until(gone, what=f"the kernel lets go of {folder}", deadline=10)


def _roots() -> Iterator[Path]:
    candidates = [_MOUNT / CGROUP, *(folder / CGROUP for folder in _MOUNT.iterdir())] if _MOUNT.exists() else []
    return (folder for folder in candidates if folder.is_dir() and not folder.parent.is_symlink())
