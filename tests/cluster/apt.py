"""Debian packages the node needs, and the mirror this machine installs from."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

from tests.cluster.commands import run, uninterrupted
from tests.cluster.errors import ClusterError

CNI_BIN = Path("/usr/lib/cni")
# Program -> package. By program, because containerd may also come from another vendor's package, which then stays.
_PROGRAMS = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "iptables-restore": "iptables",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "mount": "mount",
    "mmdebstrap": "mmdebstrap",
}
_QUIET = {"DEBIAN_FRONTEND": "noninteractive"}


def missing() -> list[str]:
    """Packages to install."""
    packages = {package for program, package in _PROGRAMS.items() if not shutil.which(program)}
    if not (CNI_BIN / "bridge").exists():
        packages.add("containernetworking-plugins")
    return sorted(packages)


def install(packages: list[str]) -> None:
    """Install them without recommendations; refresh the package lists only when that fails."""
    if not shutil.which("apt-get"):
        message = f"install these by your package manager, this is not a Debian: {' '.join(packages)}"
        raise ClusterError(message)
    with uninterrupted():  # dpkg broken off half way needs a person to repair it
        _get(["install", "--yes", "--no-install-recommends", *packages])


def download(package: str, folder: Path) -> Path:
    """The package's file, not installed."""
    folder.mkdir(parents=True, exist_ok=True)
    _get(["download", package], folder)
    (found,) = folder.glob(f"{package}_*.deb")
    return found


def _get(arguments: list[str], folder: Path | None = None) -> None:
    command = ["apt-get", *arguments]
    try:
        run(command, directory=folder, environment=_QUIET)
    except ClusterError:  # lists that are old, or were never had
        run(["apt-get", "update"], environment=_QUIET)
        run(command, directory=folder, environment=_QUIET)


def sources(suite: str) -> list[str]:
    """Lines of sources.list for `suite`, whatever suite the machine itself runs."""
    known = _mirrors()
    archive = os.environ.get("VOLARY_DEBIAN_MIRROR") or _archive(known)
    keyring = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    options = f"[signed-by={keyring}] " if keyring.exists() else ""
    lines = [f"deb {options}{archive} {name} main" for name in (suite, f"{suite}-updates")]
    security = next((address for release, address in known.items() if release.endswith("-security")), None)
    return [*lines, f"deb {options}{security} {suite}-security main"] if security else lines


def _mirrors() -> dict[str, str]:
    """Release name -> address of its mirror, from this machine's own apt configuration."""
    command = ["apt-get", "indextargets", "--format", "$(CREATED_BY) $(COMPONENT) $(RELEASE) $(REPO_URI)"]
    listing = run(command)
    if not listing.strip():  # a machine that never updated its lists names nothing
        run(["apt-get", "update"], environment=_QUIET)
        listing = run(command)
    rows = [line.split() for line in listing.splitlines()]
    return {row[2]: row[3] for row in reversed(rows) if row[:2] == ["Packages", "main"]}


def _archive(known: dict[str, str]) -> str:
    """The main archive is the release that also has a -updates one (the security archive has none)."""
    for release, address in known.items():
        if f"{release}-updates" in known and platform.freedesktop_os_release()["ID"] == "debian":
            return address
    message = "no Debian archive in the apt configuration: set VOLARY_DEBIAN_MIRROR to the address of one"
    raise ClusterError(message)
