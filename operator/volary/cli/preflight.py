"""`volary preflight`: the Job that looks at a version before any pod starts."""

import argparse
import os
from dataclasses import replace
from pathlib import Path

from volary.agent import preflight, signed, source, termination
from volary.agent.retry import Patience
from volary.agent.source import Wanted
from volary.cli import storage
from volary.common import logs
from volary.common.names import PUBLIC_KEY_VARIABLE

NAME = "preflight"
HELP = "check a version before any pod starts (in a Job)"
_BUDGET = 20.0  # seconds of trying: the operator starts the Job again, and tells why meanwhile


def configure(parser: argparse.ArgumentParser) -> None:
    """Options, as the operator writes them into the Job."""
    storage.configure_wanted(parser)
    parser.add_argument("--stable-uri", metavar="URI", help="where the version lies whose clients must get on with this one")
    parser.add_argument("--stable-version", metavar="VERSION", help="that version")
    parser.add_argument("--stable-digest", metavar="DIGEST", help="its digest")
    parser.add_argument("--public-key", type=Path, metavar="FILE", help=storage.PUBLIC_KEY_HELP)


def run(args: argparse.Namespace) -> int:
    """0 passed, 3 refused, 4 a neighbour failed; the Outcome is in the termination message."""
    logs.configure("info")
    try:
        place, wanted, patience = storage.connect(args, args.uri), storage.wanted(args), Patience(budget=_BUDGET)
        key = _public_key(args)
        if key is not None:
            found = patience.retry(lambda: source.find(place, wanted))
            patience.retry(lambda: signed.check(place, found, key))
            wanted = replace(wanted, digest=found.digest)  # what was signed is what is looked at
        outcome = preflight.check(place, wanted, patience=patience)
        if args.stable_uri is not None:
            before = Wanted(args.stable_version, args.stable_digest)
            found = patience.retry(lambda: source.find(place, wanted))
            preflight.check_clients(storage.connect(args, args.stable_uri), before, found, patience=patience)
    except Exception as error:  # noqa: BLE001 -- the last words must be written whatever it is
        return termination.report(error, args.termination_log)
    termination.write(outcome, args.termination_log)
    return 0


def _public_key(args: argparse.Namespace) -> bytes | None:
    """From the file that is named, or from where the operator puts the content of the Secret; None: no signature is wanted."""
    if args.public_key is not None:
        return bytes(args.public_key.read_bytes())
    given = os.environ.get(PUBLIC_KEY_VARIABLE)
    return None if given is None else given.encode()
