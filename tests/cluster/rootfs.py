"""The base of all our images: Debian's Python without a shell, made from the machine's own package mirror."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster import apt, layers
from tests.cluster.commands import run
from tests.cluster.progress import step

if TYPE_CHECKING:
    from tests.cluster.layers import Layer
    from tests.cluster.progress import Progress

SUITE = "bookworm"  # whatever the machine runs: the images' Python is 3.11
PYTHON = "3.11"
USER = 65532
_RECIPE = 2  # raise it when the steps below change
_INCLUDED = (
    "base-files",
    "ca-certificates",
    "libc-bin",
    "libgcc-s1",
    "libpython3.11-stdlib",
    "libstdc++6",
    "media-types",
    "netbase",
    "python3-minimal",
    "python3.11-minimal",
    "tzdata",
)
_USELESS = (
    *(f"usr/share/{name}" for name in ("bash-completion", "bug", "debconf", "doc", "lintian", "locale", "man", "perl5")),
    *("var/cache", "var/lib/apt", "var/lib/dpkg"),
    # What mmdebstrap took from this machine.
    *("etc/apt", "etc/hostname", "etc/hosts", "etc/resolv.conf"),
)
_PROGRAM_FOLDERS = ("bin", "sbin", "usr/bin", "usr/sbin")
# Where layers lie in the image; they exist in the base so that code can be compiled at its final place.
PACKAGES = "deps"
CODE = "app"
_COMPILE = """
import compileall, py_compile, sys
mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
sys.exit(not compileall.compile_dir(sys.argv[1], quiet=1, invalidation_mode=mode) and sys.argv[2] == "strict")
"""


def key() -> str:
    """The name of this base in the cache."""
    return hashlib.sha256(f"{_RECIPE} {SUITE} {_INCLUDED}".encode()).hexdigest()[:16]


def tree(cache: Path) -> Path:
    """The base as a directory."""
    return cache / "rootfs" / key()


def build(cache: Path, progress: Progress) -> Layer:
    """Return the base layer, made on first use in about ten seconds."""
    name = f"base-{key()}"
    if (layer := layers.cached(cache, name)) and tree(cache).exists():
        return layer
    with step(progress, f"base file system ({SUITE})"):
        _bootstrap(cache, progress)
        return layers.pack(cache, name, tree(cache))


def compile_python(cache: Path, source: Path, target: str, *, strict: bool) -> None:
    """Compile `source` by the image's own Python, under its final name, so that pods start without compiling.

    Unchecked: the interpreter takes the compiled file without looking at the source; layers never change.
    """
    root = tree(cache)
    # The mount lives in a namespace of its own, so it is gone when the command ends, however it ends.
    script = 'mount --bind "$1" "$2/$3" && exec chroot "$2" /usr/bin/python3 -c "$4" "/$3" "$5"'
    strictness = "strict" if strict else "lenient"  # packages may carry templates that are no Python
    words: list[str | Path] = ["sh", "-c", script, "sh", source, root, target, _COMPILE, strictness]
    run(["unshare", "--mount", "--propagation", "private", *words])


def _bootstrap(cache: Path, progress: Progress) -> None:
    final = tree(cache)
    new = final.with_suffix(".new")
    shutil.rmtree(new, ignore_errors=True)
    shutil.rmtree(final, ignore_errors=True)
    new.parent.mkdir(parents=True, exist_ok=True)
    include = f"--include={','.join(_INCLUDED)}"
    run(
        ["mmdebstrap", "--variant=extract", "--mode=root", include, SUITE, new, "-"],
        stdin="\n".join(apt.sources(SUITE)) + "\n",
        on_line=progress.note,
    )
    _strip(new)
    _finish(new)
    new.replace(final)
    compile_python(cache, final / f"usr/lib/python{PYTHON}", f"usr/lib/python{PYTHON}", strict=False)


def _strip(root: Path) -> None:
    """Only Python is left to run: packages bring tar, perl and others along."""
    for name in _USELESS:
        useless = root / name
        if useless.is_dir():
            shutil.rmtree(useless)
        else:
            useless.unlink(missing_ok=True)
    for folder in _PROGRAM_FOLDERS:
        for program in (root / folder).glob("*"):
            if not program.name.startswith("python3"):
                program.unlink()
    for library in root.glob("usr/lib/*/perl*"):
        shutil.rmtree(library)


def _finish(root: Path) -> None:
    """Do what the packages' own scripts would have done, as far as a Python program needs it."""
    etc = root / "etc"
    (etc / "passwd").write_text(f"root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:{USER}:{USER}:nonroot:/tmp:/sbin/nologin\n")
    (etc / "group").write_text(f"root:x:0:\nnonroot:x:{USER}:\n")
    bundle = etc / "ssl" / "certs" / "ca-certificates.crt"
    bundle.parent.mkdir(parents=True, exist_ok=True)
    certificates = sorted((root / "usr/share/ca-certificates").rglob("*.crt"))
    bundle.write_text("".join(certificate.read_text() for certificate in certificates))
    for name in (PACKAGES, CODE, "mnt"):
        (root / name).mkdir(exist_ok=True)
    (root / "tmp").chmod(0o1777)
