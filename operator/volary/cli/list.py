"""`volary list`: all ModelDeployments of a namespace, or of all."""

import argparse

from rich.console import Console
from rich.table import Table

from volary.adapters.cluster import MODEL_DEPLOYMENTS, Body
from volary.cli import kube
from volary.common.errors import Refused

NAME = "list"
HELP = "list ModelDeployments"


def configure(parser: argparse.ArgumentParser) -> None:
    """Flags."""
    kube.configure(parser)
    parser.add_argument("-A", "--all-namespaces", action="store_true", help="of all namespaces")


def run(args: argparse.Namespace) -> int:
    """0."""

    async def work(place: kube.Place) -> int:
        bodies = await place.cluster.list(MODEL_DEPLOYMENTS, None if args.all_namespaces else place.namespace)
        table = Table(box=None, pad_edge=False, header_style="dim")
        for column in ("NAMESPACE", "NAME", "PHASE", "STABLE", "CANARY", "WEIGHT", "READY"):
            table.add_column(column, no_wrap=True)
        for body in bodies:
            table.add_row(body["metadata"]["namespace"], body["metadata"]["name"], *_cells(body))
        Console().print(table)
        return 0

    return kube.run(args, work)


def _cells(body: Body) -> tuple[str, ...]:
    """One that cannot be read does not hide the others."""
    try:
        status = kube.parse(body).status
    except Refused:
        return ("unreadable",)
    stable, canary = status.stable, status.canary
    weight = f"{canary.weight}%" if canary else ""
    return status.phase.value, stable.version if stable else "", canary.version if canary else "", weight, status.ready
