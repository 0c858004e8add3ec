"""`make test-convert`: one environment for each framework's extra, and the conversion tests in it.

PyTorch and TensorFlow together are 8 GB and want packages of different versions, so they are no part of
`.venv`. `python -m tests.convert torch` runs those of one extra.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXTRAS = {"sklearn": ("cli", "sklearn"), "torch": ("cli", "torch"), "tensorflow": ("cli", "tensorflow"), "litert": ()}
# What no extra can say: see LITERT in volary.packaging.convert.packages.
MORE = {"litert": ("litert-torch>=0.10,<1", "numpy>=2.1,<3")}
OVERRIDE = "typing-extensions>=4.14.1\n"
TOOLS = ("pytest>=9", "pytest-timeout", "scikit-learn>=1.7,<2")


def main(extras: list[str]) -> int:
    """0 when the tests of all extras pass."""
    return max(_test(extra) for extra in extras or EXTRAS)


def _test(extra: str) -> int:
    python = _environment(extra)
    test = f"tests/convert/test_{extra}.py"
    # The conftest above is for the cluster. What frameworks warn of is theirs to mend.
    words = ["-m", "pytest", "-m", "convert", "-q", "--confcutdir=tests/convert", "-p", "no:cacheprovider", "-W", "default", test]
    sys.stderr.write(f"== {extra}\n")
    return subprocess.run([str(python), *words], cwd=ROOT, check=False).returncode


def _environment(extra: str) -> Path:
    """The Python of the environment, which is made anew when its requirements change."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [*project["dependencies"], *TOOLS]
    wanted += MORE.get(extra, ())
    for each in EXTRAS[extra]:
        wanted += project["optional-dependencies"][each]
    directory = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "volary" / f"convert-{extra}"
    python, stamp = directory / "bin" / "python", directory / ".wanted"
    digest = hashlib.sha256("\n".join(wanted).encode()).hexdigest()
    if not (stamp.is_file() and stamp.read_text() == digest):
        sys.stderr.write(f"== Python packages for {extra}: minutes the first time\n")
        venv.create(directory, with_pip=False, clear=True)
        # pip goes back and forth between versions for ten minutes; uv finds the same ones in seconds.
        (directory / "override.txt").write_text(OVERRIDE)
        words = ["-q", "--python", str(python), "--override", str(directory / "override.txt"), *wanted]
        subprocess.run([sys.executable, "-m", "uv", "pip", "install", *words], check=True)
        stamp.write_text(digest)
    return python


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
