"""Install a constraints file for the images' Python, whatever Python and machine runs the harness."""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
from typing import TYPE_CHECKING

from packaging.markers import Marker

from tests.cluster.commands import run
from tests.cluster.errors import ClusterError
from tests.cluster.rootfs import PYTHON

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.progress import Progress

_PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
_TARGET = {
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": f"{PYTHON}.2",
    "python_version": PYTHON,
    "sys_platform": "linux",
}


def install(file: Path, target: Path, progress: Progress) -> None:
    """Fill `target` with exactly the wheels the file names, each checked against its hash."""
    selected = target.with_suffix(".txt")
    selected.write_text(select(file.read_text()))
    platforms = [f"--platform={name}" for name in _PLATFORMS]
    options = ["--require-hashes", "--no-compile"]
    python = [f"--python-version={PYTHON}", "--implementation=cp", *platforms]
    run([*pip(), *options, *python, "--target", target, "--requirement", selected], on_line=progress.note)
    selected.unlink()
    _strip(target)


def pip() -> list[str | Path]:
    """The start of an installation by this Python's pip, which another tool's virtual environment may lack.

    Without dependencies: the files are complete, and pip would judge what else is needed by the wrong Python.
    """
    if not importlib.util.find_spec("pip"):
        raise ClusterError(f"{sys.executable} has no pip: `{sys.executable} -m ensurepip`, or make the environment by python3 -m venv")
    return [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]


def select(text: str) -> str:
    """Drop the lines whose marker is false for the images' Python, and the markers: pip would ask its own Python."""
    kept = []
    for entry in re.sub(r"\\\n\s*", " ", text).splitlines():
        line = re.sub(r"(^|\s)#.*", "", entry).strip()
        requirement, semicolon, rest = line.partition(";")
        marker, _, hashes = rest.partition("--hash")
        if semicolon and not Marker(marker.strip()).evaluate(_TARGET):
            continue
        kept.append(f"{requirement.strip()} --hash{hashes}" if semicolon else line)
    return "\n".join(line for line in kept if line) + "\n"


def _strip(target: Path) -> None:
    """Remove what no pod runs: scripts with this machine's Python in their first line, and packages' own tests."""
    shutil.rmtree(target / "bin", ignore_errors=True)
    for folder in sorted(target.glob("*/**/tests"), reverse=True):
        if folder.is_dir() and any(folder.glob("test_*.py")):
            shutil.rmtree(folder)
