"""`volary verify`: every byte of a bundle, and who signed it."""

import argparse
import hashlib
import sys
from functools import partial
from pathlib import Path

from volary.adapters import repository
from volary.adapters.storage import Storage
from volary.agent.retry import Patience
from volary.bundle import layout, limits
from volary.bundle.blobs import blobs
from volary.cli import storage
from volary.cli.progress import bar
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.packaging import bundle as bundles
from volary.packaging import signing
from volary.packaging.signing import Trust

NAME = "verify"
HELP = "prove every byte of a bundle, and who signed it"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("bundle", help=f"a directory, {storage.REFERENCE_HELP}")
    parser.add_argument("--public-key", type=Path, metavar="FILE", help="that must have signed, as PEM")
    parser.add_argument(
        "--certificate-chain", type=Path, nargs="+", default=[], metavar="FILE", help="roots one of which must vouch, as PEM"
    )
    storage.configure(parser)


def run(args: argparse.Namespace) -> int:
    """0 proved, 1 not."""
    trust = Trust(args.public_key, tuple(args.certificate_chain))
    digest, size, signed = _remote(args, trust) if storage.is_remote(args.bundle) else _local(Path(args.bundle), trust)
    sys.stdout.write(f"{digest}\n")
    if trust.wanted:
        told = "signed as you asked"
    else:
        told = "there is a signature; name --public-key or --certificate-chain to prove it" if signed else "not signed"
    sys.stderr.write(f"{limits.show(size)} proved; {told}\n")
    return 0


def _local(path: Path, trust: Trust) -> tuple[str, int, bool]:
    """Needs no network. The signature first: nothing unsigned is read further."""
    bundle = bundles.load(path)
    found = signing.read(path)
    signing.verify(bundle.data, found, trust)
    signing.check_nothing_else(bundle)
    bundles.verify(bundle)
    return bundle.digest, bundle.manifest.size, found is not None


def _remote(args: argparse.Namespace, trust: Trust) -> tuple[str, int, bool]:
    wanted = storage.reference(args.bundle)
    place = storage.connect(args, wanted.uri)
    patience = Patience(budget=storage.BUDGET)
    version = storage.find(place, wanted)
    found = patience.retry(lambda: repository.signature(place, version.manifest.version))
    signing.verify(version.data, found, trust)
    needed = blobs(version.manifest)
    with bar("proving", sum(needed.values())) as progress:
        for sha256, size in needed.items():
            patience.retry(partial(_prove, place, sha256, size))
            progress(size)
    return version.digest, version.manifest.size, found is not None


def _prove(place: Storage, sha256: str, size: int) -> None:
    key, digest, count = layout.blob_key(sha256), hashlib.sha256(), 0
    with place.stream(key) as chunks:
        for chunk in chunks:
            count += len(chunk)
            if count > size:
                break  # an endless answer ends here
            digest.update(chunk)
    if count != size:
        raise Refused(Reason.SIZE_MISMATCH, f"{key} in {place.place} has not the {size} bytes the manifest says; push the bundle again")
    if digest.hexdigest() != sha256:
        raise Refused(Reason.DIGEST_MISMATCH, f"{key} in {place.place} has the sha256 {digest.hexdigest()}; push the bundle again")
