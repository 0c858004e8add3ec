"""`volary set-version FILE VERSION`: another version in a manifest under version control, for a commit or a pull request.

Comments, order and quotes of the file stay. Nothing is applied to a cluster.
"""

import argparse
import difflib
import json
import os
import re
import sys
import tempfile
from pathlib import Path

from volary.bundle import layout
from volary.cli import manifest_text, storage
from volary.cli.manifest_text import Found, Pin
from volary.common.errors import Refused
from volary.common.reasons import Reason

NAME = "set-version"
HELP = "write another version into a manifest in Git"

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_FROM_FILE = ""


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("file", type=Path, metavar="FILE", help="YAML with a ModelDeployment")
    parser.add_argument("version", metavar="VERSION", help="that is pushed already")
    parser.add_argument("--name", help="which ModelDeployment, where the file has several")
    pin = parser.add_mutually_exclusive_group()
    pin.add_argument("--digest", metavar="sha256:...", help="pin the version to this digest")
    pin.add_argument(
        "--from",
        dest="place",
        nargs="?",
        const=_FROM_FILE,
        metavar="s3://BUCKET/PREFIX",
        help="pin it to the digest it has in the storage; without a value: at the file's spec.model.uri",
    )
    pin.add_argument("--unpin", action="store_true", help="remove a digest that pins the version before")
    parser.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")
    parser.add_argument("-o", "--output", choices=("diff", "json"), default="diff", help="default: %(default)s")
    storage.configure(parser)


def run(args: argparse.Namespace) -> int:
    """0 when the file asks for the version now, also when it did before."""
    path = args.file.resolve()
    before = _text(path)
    found = manifest_text.find(before, args.name)
    pin = Pin(version=args.version, digest=_digest(args, found))
    layout.version_key(pin.version)
    after = manifest_text.replaced(before, found, pin)
    if not args.dry_run and after != before:
        _write(path, after)
    _show(args, found, pin, before, after)
    return 0


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError:
        raise Refused(Reason.SPEC_INVALID, f"{path.name} is not UTF-8") from None


def _digest(args: argparse.Namespace, found: Found) -> str | None:
    """What the version is to be pinned to. A digest that stays behind would refuse the new version."""
    if args.digest is not None:
        if _DIGEST.fullmatch(args.digest) is None:
            raise Refused(Reason.SPEC_INVALID, f"{args.digest[:100]!r} is no digest; write sha256: and 64 hexadecimal digits")
        return str(args.digest)
    if args.place is not None:
        uri = args.place or found.uri
        return storage.find(storage.connect(args, uri), storage.Reference(uri, version=args.version)).digest
    if found.pin.digest is not None and not args.unpin and args.version != found.pin.version:
        text = f"spec.model.digest pins version {found.pin.version}: give the new one by --digest or --from, or drop it by --unpin"
        raise Refused(Reason.SPEC_INVALID, text)
    return None if args.unpin else found.pin.digest


def _write(path: Path, text: str) -> None:
    """All or nothing, with the mode it has."""
    with tempfile.NamedTemporaryFile("wb", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        file.write(text.encode())
    temporary = Path(file.name)
    try:
        temporary.chmod(path.stat().st_mode & 0o7777)
        os.replace(temporary, path)  # noqa: PTH105 -- the same, and says which
    except OSError:
        temporary.unlink()
        raise


def _show(args: argparse.Namespace, found: Found, pin: Pin, before: str, after: str) -> None:
    changed = after != before
    if args.output == "json":
        shown = {
            "file": str(args.file),
            "name": found.name,
            "changed": changed,
            "before": {"version": found.pin.version, "digest": found.pin.digest},
            "after": {"version": pin.version, "digest": pin.digest},
        }
        sys.stdout.write(json.dumps(shown, indent=2) + "\n")
        return
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), f"a/{args.file}", f"b/{args.file}", lineterm="")
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    if not changed:
        sys.stderr.write(f"{args.file}: {found.name} asks for {pin.version} already\n")
