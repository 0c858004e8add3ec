"""`volary status [NAME]`: how ModelDeployments are, at a glance or live."""

import argparse
import asyncio
import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from volary.adapters.cluster import MODEL_DEPLOYMENTS, PODS, Body
from volary.cli import kube, output, picture
from volary.cli.exits import Exit
from volary.cli.view import ModelView, view
from volary.common.errors import Refused, Transient
from volary.common.names import COMPONENT_LABEL, MODEL_LABEL
from volary.planning.labels import SERVER, of_model

NAME = "status"
HELP = "show ModelDeployments and how their rollouts go"

_POLL = 1.0  # seconds between two looks


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked at: one ModelDeployment, or all of a namespace, or all there are."""

    name: str | None = None
    everywhere: bool = False


def configure(parser: argparse.ArgumentParser) -> None:
    """Flags."""
    parser.add_argument("name", metavar="NAME", nargs="?", help="one ModelDeployment; without it, all of the namespace")
    kube.configure(parser)
    kube.configure_all(parser)
    parser.add_argument(
        "-w", "--watch", action="store_true", help="keep showing until Ctrl-C; one line a change if the output is no terminal"
    )
    parser.add_argument("--svg", type=Path, metavar="FILE", help="write the picture as an SVG file too")
    output.configure(parser)


def run(args: argparse.Namespace) -> int:
    """0, or 3 where there is no such ModelDeployment. Ctrl-C ends `--watch` well."""
    wanted = Wanted(args.name, args.all_namespaces)
    if not args.watch:
        return kube.run(args, lambda place: _once(place, wanted, args))
    try:
        return kube.run(args, lambda place: _watch(place, wanted))
    except KeyboardInterrupt:
        return Exit.DONE


async def _once(place: kube.Place, wanted: Wanted, args: argparse.Namespace) -> int:
    if args.output is not None:
        output.write(await bodies(place, wanted), args.output, single=wanted.name is not None)
        return Exit.DONE
    console, now = Console(highlight=False), datetime.now(UTC)
    shown = draw(await look(place, wanted, now), now, console.width, place.namespace)
    console.print(shown)
    if args.svg is not None:
        recorder = Console(highlight=False, record=True, width=console.width, file=io.StringIO(), force_terminal=True)
        recorder.print(shown)
        recorder.save_svg(str(args.svg), title="volary status")
    return Exit.DONE


async def _watch(place: kube.Place, wanted: Wanted) -> int:
    console = Console(highlight=False)
    return await (_live(place, wanted, console) if console.is_terminal else _lines(place, wanted))


async def _live(place: kube.Place, wanted: Wanted, console: Console) -> int:
    """An API server that is away for a while is waited for: the picture stands still and says so."""
    shown: RenderableType = Text("")
    with Live(shown, console=console, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            try:
                now = datetime.now(UTC)
                shown = draw(await look(place, wanted, now), now, console.width, place.namespace)
                live.update(shown, refresh=True)
            except Transient as error:
                live.update(Group(Text(f"{error.message}; tried again", style="yellow"), shown), refresh=True)
            await asyncio.sleep(_POLL)


async def _lines(place: kube.Place, wanted: Wanted) -> int:
    """For a log: a line where something happened, and nothing while nothing does."""
    said: dict[tuple[str, str], str] = {}
    while True:
        try:
            now = datetime.now(UTC)
            for seen in await look(place, wanted, now):
                line = picture.line(seen)
                if said.get((seen.namespace, seen.name)) != line:
                    said[seen.namespace, seen.name] = line
                    sys.stdout.write(f"{now.astimezone():%H:%M:%S}  {line}\n")
            sys.stdout.flush()
        except Transient as error:
            sys.stderr.write(f"{error.message}; tried again\n")
        await asyncio.sleep(_POLL)


# ---- looking ----------------------------------------------------------------------------------


async def bodies(place: kube.Place, wanted: Wanted) -> list[Body]:
    """The ModelDeployments. Raises Missing where the one that is named is not there."""
    if wanted.name is not None:
        return [await place.get(wanted.name)]
    return await place.cluster.list(MODEL_DEPLOYMENTS, None if wanted.everywhere else place.namespace)


async def look(place: kube.Place, wanted: Wanted, now: datetime) -> list[ModelView]:
    """Two requests, however many there are. One that cannot be read does not hide the others.

    Raises Missing or Refused of the one that is named.
    """
    labels = {COMPONENT_LABEL: SERVER, MODEL_LABEL: None} if wanted.name is None else of_model(wanted.name)
    found, pods = await asyncio.gather(
        bodies(place, wanted), place.cluster.list(PODS, None if wanted.everywhere else place.namespace, dict(labels))
    )
    seen = []
    for body in found:
        own = [pod for pod in pods if _of(pod, body)]
        try:
            seen.append(view(kube.parse(body), own, now))
        except Refused as error:
            if wanted.name is not None:
                raise
            sys.stderr.write(f"{error.message}\n")
    return seen


def _of(pod: Body, body: Body) -> bool:
    metadata = pod["metadata"]
    return bool(
        metadata["namespace"] == body["metadata"]["namespace"] and metadata.get("labels", {}).get(MODEL_LABEL) == body["metadata"]["name"]
    )


def draw(seen: Sequence[ModelView], now: datetime, width: int, namespace: str) -> RenderableType:
    """One tree a ModelDeployment."""
    if not seen:
        return Text(f"no ModelDeployments in the namespace {namespace}")
    return Group(*(picture.render(each, now, width) for each in seen))
