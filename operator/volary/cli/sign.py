"""`volary sign`: a signature beside a bundle's manifest, here or in the storage."""

import argparse
import sys
from pathlib import Path

from volary.agent.retry import Patience
from volary.bundle import layout, paths
from volary.cli import storage
from volary.packaging import signing
from volary.packaging.signing import Signer

NAME = "sign"
HELP = "sign a bundle with a key or a certificate"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("bundle", help=f"a directory, {storage.REFERENCE_HELP}")
    parser.add_argument("--private-key", type=Path, required=True, metavar="FILE", help="of an elliptic curve, as PEM")
    parser.add_argument("--signing-certificate", type=Path, metavar="FILE", help="for that key, as PEM")
    parser.add_argument("--certificate-chain", type=Path, nargs="+", default=[], metavar="FILE", help="between it and the root")
    parser.add_argument("--digest", help="sha256:... that the bundle must have, so that nothing else is signed by mistake")
    storage.configure(parser)


def run(args: argparse.Namespace) -> int:
    """0."""
    signer = Signer(args.private_key, args.signing_certificate, tuple(args.certificate_chain))
    if storage.is_remote(args.bundle):
        digest, where = _remote(args, signer)
    else:
        digest, where = signing.sign_bundle(Path(args.bundle), signer, args.digest).digest, f"{Path(args.bundle) / paths.SIGNATURE}"
    sys.stdout.write(f"{digest}\n")
    sys.stderr.write(f"signed: {where}\n")
    return 0


def _remote(args: argparse.Namespace, signer: Signer) -> tuple[str, str]:
    """Signs the manifest as it is there, whoever put it there: hence --digest."""
    wanted = storage.reference(args.bundle)
    place = storage.connect(args, wanted.uri)
    found = storage.find(place, wanted)
    signing.check_digest(found.digest, args.digest)
    key, data = layout.signature_key(found.manifest.version), signing.sign(found.data, signer)
    Patience(budget=storage.BUDGET).retry(lambda: place.put(key, data))
    return found.digest, f"{key} in {place.place}"
