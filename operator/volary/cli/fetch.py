"""`volary fetch`: a version on this machine, verified as in a pod."""

import argparse
import sys
from pathlib import Path

from volary.agent import fetcher, signed, source, termination
from volary.agent.retry import Patience
from volary.agent.source import Wanted
from volary.bundle import limits
from volary.cli import storage
from volary.common.errors import Refused, VolaryError

NAME = "fetch"
HELP = "download and verify a version"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("uri", help="where the versions are: s3://BUCKET/PREFIX")
    parser.add_argument("version")
    parser.add_argument("-d", "--directory", type=Path, default=Path(), help="where to put NAME/VERSION; default: here")
    parser.add_argument("--digest", help=storage.DIGEST_HELP)
    parser.add_argument("--public-key", type=Path, metavar="FILE", help=storage.PUBLIC_KEY_HELP)
    parser.add_argument("--model", help="name of the directory; default: the name in the manifest")
    storage.configure(parser)


def run(args: argparse.Namespace) -> int:
    """0, 3 refused, 4 a neighbour failed."""
    try:
        place = storage.connect(args, args.uri)
        patience = Patience()
        name, digest = args.model, args.digest
        if name is None or args.public_key is not None:
            found = patience.retry(lambda: source.find(place, Wanted(args.version, args.digest)))
            name, digest = name or found.manifest.name, found.digest
            if args.public_key is not None:
                key = args.public_key.read_bytes()
                patience.retry(lambda: signed.check(place, found, key))
        args.directory.mkdir(parents=True, exist_ok=True)
        fetched = fetcher.fetch(place, Wanted(args.version, digest), args.directory, name, patience=patience)
    except VolaryError as error:
        sys.stderr.write(f"volary fetch: {error.message} ({error.reason})\n")
        return termination.REFUSED if isinstance(error, Refused) else termination.FAILED
    sys.stdout.write(f"{fetched.path}\n{fetched.found.digest}\n")
    sys.stderr.write(f"downloaded {limits.show(fetched.downloaded)} of {limits.show(fetched.manifest.size)}\n")
    return 0
