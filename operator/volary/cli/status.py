"""`volary status NAME`: how a ModelDeployment is, at a glance or live."""

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

import yaml
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from volary.adapters.cluster import Body
from volary.api.v1alpha1 import Condition, Evidence, ModelDeployment, ModelDeploymentStatus, Phase, RevisionStatus, duration
from volary.cli import kube
from volary.common.durations import show
from volary.common.errors import Transient
from volary.planning.strategy import chosen

NAME = "status"
HELP = "show a ModelDeployment and how its rollout goes"

_POLL = 1.0  # seconds between two looks
_GOOD = frozenset({Phase.SERVING})
_BAD = frozenset({Phase.REFUSED, Phase.FAILED, Phase.ROLLED_BACK, Phase.ROLLING_BACK})


def configure(parser: argparse.ArgumentParser) -> None:
    """Flags."""
    parser.add_argument("name", metavar="NAME")
    kube.configure(parser)
    parser.add_argument("-w", "--watch", action="store_true", help="keep showing until interrupted")
    parser.add_argument("-o", "--output", choices=("json", "yaml"), help="the object itself")


def run(args: argparse.Namespace) -> int:
    """0, or 1 where there is no such ModelDeployment."""
    return kube.run(args, lambda place: _watch(place, args.name) if args.watch else _once(place, args.name, args.output))


async def _once(place: kube.Place, name: str, output: str | None) -> int:
    body = await place.get(name)
    if output is not None:
        sys.stdout.write(_dump(body, output))
    else:
        Console().print(render(kube.parse(body), datetime.now(UTC)))
    return 0


def _dump(body: Body, output: str) -> str:
    body["metadata"].pop("managedFields", None)
    return json.dumps(body, indent=2) + "\n" if output == "json" else yaml.safe_dump(body, sort_keys=False)


async def _watch(place: kube.Place, name: str) -> int:
    """An API server that is away for a while is waited for: the picture stands still and says so."""
    shown: RenderableType = ""
    with Live(shown, auto_refresh=False) as live:
        while True:
            try:
                shown = render(kube.parse(await place.get(name)), datetime.now(UTC))
                live.update(shown, refresh=True)
            except Transient as error:
                live.update(Group(shown, Text(error.message, style="yellow")), refresh=True)
            await asyncio.sleep(_POLL)


# ---- the picture ------------------------------------------------------------------------------


def render(found: ModelDeployment, now: datetime) -> RenderableType:
    """All that matters, on one screen."""
    status, metadata = found.status, found.metadata
    title = Text.assemble((f"{metadata.namespace}/{metadata.name}", "bold"), "  ", _phase(status), f"  ready {status.ready}")
    parts: list[RenderableType] = [title, *([Text(status.message)] if status.message else [])]
    if metadata.generation > status.observed_generation:
        parts.append(Text("the operator has not seen the latest change yet", style="yellow"))
    parts += [*_steps(found, now), *_revisions(found), *_retiring(status), *_conditions(status.conditions), *_request(status)]
    return Group(*parts)


def _phase(status: ModelDeploymentStatus) -> tuple[str, str]:
    style = "green" if status.phase in _GOOD else "red" if status.phase in _BAD else "yellow"
    return status.phase.value, f"bold {style}"


def _revisions(found: ModelDeployment) -> Iterator[RenderableType]:
    """Stable and canary side by side with what was counted of them."""
    status = found.status
    if status.stable is None and status.canary is None:
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("", "VERSION", "REVISION"):
        table.add_column(column)
    for column in ("READY", "WEIGHT", "REACHED", "REQUESTS", "ERRORS"):
        table.add_column(column, justify="right")
    table.add_column("VERDICT")
    evidence = status.rollout.evidence if status.rollout else Evidence()
    if status.stable is not None:
        table.add_row("stable", *_row(status.stable), *_counts(evidence.stable_requests, evidence.stable_errors), "")
    if status.canary is not None:
        table.add_row("canary", *_row(status.canary), *_counts(evidence.canary_requests, evidence.canary_errors), _verdict(evidence))
    yield table


def _row(revision: RevisionStatus) -> tuple[str, ...]:
    return (
        revision.version,
        revision.revision,
        f"{revision.ready}/{revision.replicas}",
        f"{revision.weight}%",
        f"{revision.weight_reached}%",
    )


def _counts(requests: int, errors: int) -> tuple[str, str]:
    return (str(requests), f"{errors} ({100 * errors / requests:.2g}%)") if requests else ("", "")


def _verdict(evidence: Evidence) -> Text:
    styles = {"Pass": "green", "Fail": "red"}
    needed = f", about {evidence.requests_needed} more requests" if evidence.requests_needed else ""
    return Text(f"{evidence.verdict}{needed}", style=styles.get(evidence.verdict, "yellow"))


def _steps(found: ModelDeployment, now: datetime) -> Iterator[RenderableType]:
    """`5% > [25% 1m10s of 3m] > 50% > 100%` while a rollout is under way."""
    memory, steps = found.status.rollout, chosen(found.spec.rollout, found.spec.replicas or 1).steps
    if memory is None or found.status.canary is None or not steps:
        return
    text = Text("steps  ")
    for index, step in enumerate(steps):
        if index == memory.step:
            since = memory.step_started_at or now
            text.append(f"[{step.weight}% {show(now - since)} of {show(duration(step.duration))}]", style="bold yellow")
        else:
            text.append(f"{step.weight}%{' approval' if step.approval else ''}", style="green" if index < memory.step else "dim")
        text.append(" > ", style="dim")
    text.append("100%", style="bold yellow" if memory.step >= len(steps) else "dim")
    yield text


def _retiring(status: ModelDeploymentStatus) -> Iterator[RenderableType]:
    if status.retiring is not None:
        until = status.retiring.until.astimezone().strftime("%H:%M:%S")
        yield Text(f"the pods of version {status.retiring.version} stay until {until}: until then a rollback is instant", style="dim")


def _conditions(conditions: tuple[Condition, ...]) -> Iterator[RenderableType]:
    if not conditions:
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("CONDITION", "STATUS", "REASON", "SINCE"):
        table.add_column(column)
    for condition in conditions:
        since = condition.last_transition_time.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        table.add_row(condition.type, condition.status, condition.reason, since)
    yield table


def _request(status: ModelDeploymentStatus) -> Iterator[RenderableType]:
    if status.request is not None:
        message = f": {status.request.message}" if status.request.message else ""
        yield Text(f"last request {status.request.value}: {status.request.outcome}{message}", style="dim")
