"""`volary pull`, also `volary fetch`: a version on this machine, verified as in a pod."""

import argparse
import json
import sys
from pathlib import Path

from volary.adapters.storage import Storage
from volary.agent import fetcher, signed, source, termination
from volary.agent.fetcher import Fetched
from volary.agent.retry import Patience
from volary.agent.source import Found, Wanted
from volary.bundle import limits
from volary.cli import storage
from volary.cli.progress import bar
from volary.common.errors import Refused, VolaryError

NAME = "pull"
HELP = "download and verify a version"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("uri", help="where the versions are: s3://BUCKET/PREFIX")
    parser.add_argument("version")
    parser.add_argument("-d", "--directory", type=Path, default=Path(), help="where to put NAME/VERSION; default: here")
    parser.add_argument("--digest", help=storage.DIGEST_HELP)
    parser.add_argument("--public-key", type=Path, metavar="FILE", help=storage.PUBLIC_KEY_HELP)
    parser.add_argument("--model", help="name of the directory; default: the name in the manifest")
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text", help="default: %(default)s")
    storage.configure(parser)


def run(args: argparse.Namespace) -> int:
    """0, 3 refused, 4 a neighbour failed."""
    try:
        place = storage.connect(args, args.uri)
        patience = Patience()
        wanted = Wanted(args.version, args.digest)
        found = fetcher.known(args.directory, wanted) or patience.retry(lambda: source.find(place, wanted))
        if args.public_key is not None:
            key = args.public_key.read_bytes()
            patience.retry(lambda: signed.check(place, found, key))
        fetched = _fetch(place, found, args, patience)
    except VolaryError as error:
        sys.stderr.write(f"volary {args.verb}: {error.message} ({error.reason})\n")
        return termination.REFUSED if isinstance(error, Refused) else termination.FAILED
    _show(fetched, as_json=args.output == "json")
    return 0


def _fetch(place: Storage, found: Found, args: argparse.Namespace, patience: Patience) -> Fetched:
    args.directory.mkdir(parents=True, exist_ok=True)
    wanted = Wanted(args.version, found.digest)
    with bar("pulling", found.manifest.size) as progress:
        return fetcher.fetch(place, wanted, args.directory, args.model or found.manifest.name, patience=patience, progress=progress)


def _show(fetched: Fetched, *, as_json: bool) -> None:
    if as_json:
        facts = {
            "path": str(fetched.path),
            "digest": fetched.found.digest,
            "version": fetched.manifest.version,
            "size": fetched.manifest.size,
            "downloaded": fetched.downloaded,
            "reused": fetched.reused,
        }
        sys.stdout.write(json.dumps(facts, indent=2) + "\n")
    else:
        sys.stdout.write(f"{fetched.path}\n{fetched.found.digest}\n")
    sys.stderr.write(f"downloaded {limits.show(fetched.downloaded)} of {limits.show(fetched.manifest.size)}\n")
