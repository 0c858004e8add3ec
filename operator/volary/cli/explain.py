"""`volary explain NAME`: why a rollout goes, or went, as it does, how sure that is, and what a person can do."""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from volary.api.v1alpha1 import Finding
from volary.cli import explanation, kube
from volary.cli.explanation import Explanation
from volary.common.durations import show

NAME = "explain"
HELP = "tell why a rollout went as it did, and how sure that is"

_BAR = 20  # characters


def configure(parser: argparse.ArgumentParser) -> None:
    """Flags."""
    parser.add_argument("name", metavar="NAME")
    kube.configure(parser)
    parser.add_argument("-o", "--output", choices=("json",), help="the same as JSON")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with the course of the rollout, drawn")


def run(args: argparse.Namespace) -> int:
    """0, or 1 where there is no such ModelDeployment."""
    return kube.run(args, lambda place: _tell(place, args))


async def _tell(place: kube.Place, args: argparse.Namespace) -> int:
    told = explanation.explain(kube.parse(await place.get(args.name)), datetime.now(UTC))
    if args.html is not None:
        from volary.cli import explanation_page

        args.html.write_text(explanation_page.render(told), "utf-8")
        sys.stderr.write(f"{args.html} is written\n")
    if args.output == "json":
        sys.stdout.write(json.dumps(document(told), indent=2, ensure_ascii=False) + "\n")
    else:
        Console(highlight=False).print(render(told))
    return 0


def document(told: Explanation) -> dict[str, Any]:
    """For machines. Times in ISO 8601 or seconds, weights and evidence in percent."""
    plain = {
        field: getattr(told, field) for field in ("namespace", "name", "version", "beside", "outcome", "why", "next")
    }  # fmt: skip
    return plain | {
        "began": told.began.isoformat() if told.began else None,
        "ended": told.ended.isoformat() if told.ended else None,
        "findings": [finding.model_dump(mode="json", by_alias=True) for finding in told.findings],
        "stages": [asdict(stage) | {"lasted": stage.lasted.total_seconds()} for stage in told.stages],
        "course": [asdict(point) for point in told.course],
        "commands": [asdict(command) for command in told.commands],
    }


# ---- the picture ----------------------------------------------------------------------------------


def render(told: Explanation) -> RenderableType:
    """One screen."""
    return Group(*_head(told), *_metrics(told), *_stages(told), *_list("what comes next", told.next), *_commands(told))


def head(told: Explanation) -> str:
    """`shop/fraud: version 2.0.0 beside 1.0.0`."""
    beside = f" beside {told.beside}" if told.beside and told.beside != told.version else ""
    return f"{told.namespace}/{told.name}: version {told.version}{beside}"


def span(told: Explanation) -> str:
    """`2026-03-01 12:00:05, 1m22s`."""
    if told.began is None:
        return ""
    end = told.ended or (told.began + timedelta(seconds=told.course[-1].seconds) if told.course else told.began)
    return f"began {told.began.astimezone():%Y-%m-%d %H:%M:%S}, {'took' if told.ended else 'since'} {show(end - told.began)}"


def _head(told: Explanation) -> Iterator[RenderableType]:
    good, bad = {"Promoted", "Serving"}, {"RolledBack", "Failed", "Refused"}
    style = "green" if told.outcome in good else "red" if told.outcome in bad else "yellow"
    yield Text.assemble((head(told), "bold"), "  ", (told.outcome, f"bold {style}"), f"  {span(told)}")
    for text in told.why:
        yield Text(f"  {text}")


def _metrics(told: Explanation) -> Iterator[RenderableType]:
    for finding in told.findings:
        yield Text()
        only = "  (reports only)" if finding.dry_run else ""
        yield Text.assemble((finding.metric, "bold"), f"  {counts(finding)}  ", (finding.verdict, "bold"), only)
        yield _bar("against", finding.against, "red", explanation.against_in_words(finding.against))
        yield _bar("for", finding.in_favour, "green", explanation.in_favour_in_words(finding.in_favour))
        if finding.requests_needed and told.ended is None:
            yield Text(f"  about {finding.requests_needed} more canary requests without an error would prove it", style="dim")


def counts(finding: Finding) -> str:
    """`canary 3 of 120 (2.5 %), stable 1 of 400 (0.25 %)`, or the metric's own words."""
    if finding.message:
        return finding.message

    def side(bad: int, requests: int) -> str:
        return f"{bad} of {requests}" + (f" ({100 * bad / requests:.3g} %)" if requests else "")

    canary, stable = side(finding.canary_bad, finding.canary_requests), side(finding.stable_bad, finding.stable_requests)
    return f"canary {canary}, stable {stable}"


def _bar(name: str, percent: int, style: str, words: str) -> Text:
    full = round(_BAR * max(0, percent) / 100)
    return Text.assemble(f"  {name:<8}", ("█" * full, style), ("░" * (_BAR - full), "dim"), f" {percent:>4} %  {words}")


def _stages(told: Explanation) -> Iterator[RenderableType]:
    if not told.stages:
        return
    yield Text()
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("STEP")
    for column in ("WEIGHT", "REACHED", "LASTED", "REQUESTS", "ERRORS"):
        table.add_column(column, justify="right")
    table.add_column("VERDICT")
    for row in rows(told):
        table.add_row(*row)
    yield table


def rows(told: Explanation) -> Iterator[tuple[str, ...]]:
    """The stages in words and figures."""
    for stage in told.stages:
        name = "start" if stage.step == 0 else f"{stage.step} of {told.steps}" if stage.step <= told.steps else "promotion"
        weights = (f"{stage.weight} %", f"{stage.reached} %")
        yield name, *weights, show(stage.lasted), str(stage.requests), str(stage.errors), stage.verdict if stage.step else ""


def _list(title: str, texts: tuple[str, ...]) -> Iterator[RenderableType]:
    if texts:
        yield Text()
        yield Text(title, style="dim")
        yield from (Text(f"  {text}") for text in texts)


def _commands(told: Explanation) -> Iterator[RenderableType]:
    if not told.commands:
        return
    yield Text()
    yield Text("what you can do", style="dim")
    for command in told.commands:
        yield Text.assemble("  ", (command.line, "bold"), f"\n      {command.effect}")
