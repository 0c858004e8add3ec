"""`volary alias`: names that point at versions, for people. A ModelDeployment takes versions only."""

import argparse
import json
import sys
from datetime import UTC, datetime

from volary.adapters import repository
from volary.adapters.storage import Storage
from volary.agent.retry import Patience
from volary.cli import storage

NAME = "alias"
HELP = "names that point at versions"
_URI = "where the versions are: s3://BUCKET/PREFIX"


def configure(parser: argparse.ArgumentParser) -> None:
    """Three verbs of its own."""
    verbs = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    setting = verbs.add_parser("set", help="point an alias at a version, wherever it pointed before")
    setting.add_argument("uri", help=_URI)
    setting.add_argument("alias", help="such as prod")
    setting.add_argument("version", help="that is there")
    listing = verbs.add_parser("list", help="show all aliases")
    listing.add_argument("uri", help=_URI)
    listing.add_argument("-o", "--output", choices=("table", "json"), default="table", help="default: %(default)s")
    removing = verbs.add_parser("remove", help="remove an alias; its version stays")
    removing.add_argument("uri", help=_URI)
    removing.add_argument("alias")
    for each in (setting, listing, removing):
        storage.configure(each)


def run(args: argparse.Namespace) -> int:
    """0."""
    place = storage.connect(args, args.uri)
    patience = Patience(budget=storage.BUDGET)
    match args.action:
        case "set":
            made = patience.retry(lambda: repository.set_alias(place, args.alias, args.version, datetime.now(UTC)))
            sys.stderr.write(f"{args.alias} is {made.version}, {made.digest}\n")
        case "remove":
            patience.retry(lambda: repository.remove_alias(place, args.alias))
            sys.stderr.write(f"{args.alias} is removed\n")
        case _:
            patience.retry(lambda: _list(place, as_json=args.output == "json"))
    return 0


def _list(place: Storage, *, as_json: bool) -> None:
    found = repository.aliases(place)
    if as_json:
        shown = [{"alias": name, **each.model_dump(by_alias=True)} for name, each in found.items()]
        sys.stdout.write(json.dumps(shown, indent=2) + "\n")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("ALIAS", "VERSION", "DIGEST", "SET"):
        table.add_column(column, no_wrap=True)
    for name, each in found.items():
        table.add_row(name, each.version, each.digest.removeprefix("sha256:")[:12], each.updated_at)
    Console(highlight=False, markup=False, emoji=False).print(table)
