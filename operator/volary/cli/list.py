"""`volary list`: all ModelDeployments of a namespace, or of all; or the versions of a model in the storage."""

import argparse

from rich.console import Console
from rich.table import Table

from volary.adapters.cluster import MODEL_DEPLOYMENTS, Body
from volary.cli import kube, storage, versions
from volary.common.errors import Refused
from volary.common.reasons import Reason

NAME = "list"
HELP = "list ModelDeployments, or the versions in a storage"


def configure(parser: argparse.ArgumentParser) -> None:
    """Flags."""
    parser.add_argument("uri", nargs="?", metavar="s3://BUCKET/PREFIX", help="list the versions there; without it, ModelDeployments")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="of versions; default: %(default)s")
    kube.configure(parser)
    parser.add_argument("-A", "--all-namespaces", action="store_true", help="of all namespaces")
    storage.configure(parser)


def run(args: argparse.Namespace) -> int:
    """0, or 1 when a version cannot be read; the others are shown."""
    if args.uri is not None:
        return versions.run(args, versions.fields, versions.table)
    if args.output != "table":
        raise Refused(Reason.SPEC_INVALID, "-o json lists versions: name the place, s3://BUCKET/PREFIX; for resources use kubectl")
    return kube.run(args, _deployments(args))


def _deployments(args: argparse.Namespace) -> kube.Work:
    async def work(place: kube.Place) -> int:
        bodies = await place.cluster.list(MODEL_DEPLOYMENTS, None if args.all_namespaces else place.namespace)
        table = Table(box=None, pad_edge=False, header_style="dim")
        for column in ("NAMESPACE", "NAME", "PHASE", "STABLE", "CANARY", "WEIGHT", "READY"):
            table.add_column(column, no_wrap=True)
        for body in bodies:
            table.add_row(body["metadata"]["namespace"], body["metadata"]["name"], *_cells(body))
        Console().print(table)
        return 0

    return work


def _cells(body: Body) -> tuple[str, ...]:
    """One that cannot be read does not hide the others."""
    try:
        status = kube.parse(body).status
    except Refused:
        return ("unreadable",)
    stable, canary = status.stable, status.canary
    weight = f"{canary.weight}%" if canary else ""
    return status.phase.value, stable.version if stable else "", canary.version if canary else "", weight, status.ready
