"""`volary simulate -f md.yaml --rps 20 ...`: how a rollout would go, before it is applied.

The decisions are those of the operator, line by line; the cluster, the clock and the clients are
simulated. Nothing is asked of any cluster.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from volary.api.v1alpha1 import ModelDeployment, ModelDeploymentSpec
from volary.common.errors import Refused
from volary.common.names import KIND
from volary.common.reasons import Reason
from volary.simulation.journal import Journal
from volary.simulation.summary import Odds, Spread, Summary, advice, document, summary
from volary.simulation.trial import Ended, Scenario, play

NAME = "simulate"
HELP = "play a rollout many times before it is applied: its story and its odds"

_INTERRUPTED = 130


def configure(parser: argparse.ArgumentParser) -> None:
    """Flags."""
    parser.add_argument("-f", "--filename", required=True, metavar="FILE", help="a ModelDeployment in YAML or JSON; - is standard input")
    parser.add_argument("--name", help="which ModelDeployment, if the file holds several")
    parser.add_argument("--rps", type=_positive, required=True, help="requests a second, of both versions together")
    parser.add_argument("--error-rate", type=_share, default=0.0, metavar="SHARE", help="of stable: 0.005 or 0.5%% (default 0)")
    parser.add_argument("--canary-error-rate", type=_share, metavar="SHARE", help="of the canary (default: that of stable)")
    parser.add_argument("--burst", type=_positive, default=1.0, metavar="N", help="errors come in bursts of so many on average (default 1)")
    parser.add_argument(
        "--noise", type=_not_negative, default=0.0, metavar="SIGMA", help="bad moments both versions share: sigma of a lognormal factor"
    )
    parser.add_argument("--replicas", type=_count, metavar="N", help="pods of stable, instead of what the spec says")
    parser.add_argument("--runs", type=_count, default=200, metavar="N", help="of each kind (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the first run: equal seeds, equal stories (default 1)")
    parser.add_argument("-o", "--output", choices=("json",), help="story and odds as JSON")


def run(args: argparse.Namespace) -> int:
    """0; 130 where it was interrupted: then the odds are those of the runs so far."""
    spec = _spec(args)
    worse = args.error_rate if args.canary_error_rate is None else args.canary_error_rate
    scenario = Scenario(
        spec=spec, rps=args.rps, errors=args.error_rate, canary_errors=worse, burst=max(1.0, args.burst), noise=args.noise
    )  # fmt: skip
    journal = Journal()
    first = play(scenario, args.seed, journal.listen)
    if args.output is None:
        _tell(journal, first)
    runs, interrupted = _play(scenario, args)
    _show(scenario, journal, first, runs, args)
    return _INTERRUPTED if interrupted else 0


def _play(scenario: Scenario, args: argparse.Namespace) -> tuple[dict[str, list[Ended]], bool]:
    """Equal canaries and the one that is asked about, in turns, so that an interruption leaves both."""
    kinds = {"equal": scenario.equal} | ({} if scenario.equal == scenario else {"canary": scenario})
    ended: dict[str, list[Ended]] = {kind: [] for kind in kinds}
    try:
        with _bar(args.runs * len(kinds)) as advance:
            for index in range(args.runs):
                for kind, each in kinds.items():
                    ended[kind].append(play(each, args.seed + index))
                    advance()
    except KeyboardInterrupt:
        return ended, True
    return ended, False


# ---- what is asked --------------------------------------------------------------------------------


def _spec(args: argparse.Namespace) -> ModelDeploymentSpec:
    """The spec to play. Raises Refused for a file that holds none, or one that the API server would not take."""
    text = sys.stdin.read() if args.filename == "-" else Path(args.filename).read_text("utf-8")
    try:
        bodies = [body for body in yaml.safe_load_all(text) if isinstance(body, dict) and body.get("kind") == KIND]
    except yaml.YAMLError as error:
        raise Refused(Reason.SPEC_INVALID, f"{args.filename} is no YAML: {str(error).splitlines()[0]}") from error
    names = [str((body.get("metadata") or {}).get("name")) for body in bodies]
    found = [body for body, name in zip(bodies, names, strict=True) if args.name in {None, name}]
    if len(found) != 1:
        told = f"holds {', '.join(names)}; say which one by --name" if names else f"holds no {KIND}"
        raise Refused(Reason.SPEC_INVALID, f"{args.filename} {told}")
    spec = _parsed(found[0], args.filename).spec
    steps = tuple(step.model_copy(update={"approval": False}) for step in spec.rollout.steps)
    rollout = spec.rollout.model_copy(update={"paused": False, "approval": False, "steps": steps})
    if rollout != spec.rollout:
        sys.stderr.write("volary simulate: people are at hand: nothing is paused, and what wants approval is approved at once\n")
    return spec.model_copy(update={"rollout": rollout, "replicas": args.replicas or _replicas(spec), "autoscaling": None})


def _replicas(spec: ModelDeploymentSpec) -> int:
    """Pods of stable: where the load decides, the fewest there may be."""
    if spec.autoscaling is not None:
        return spec.autoscaling.min_replicas
    return spec.replicas or 1


def _parsed(body: dict[str, Any], where: str) -> ModelDeployment:
    try:
        return ModelDeployment.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = ".".join(str(part) for part in first["loc"])
        raise Refused(Reason.SPEC_INVALID, f"{where}: {path}: {first['msg']}") from error


def _share(text: str) -> float:
    """`0.005` or `0.5%`."""
    value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is no share: write 0.005 or 0.5%")
    return value


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} must be above 0")
    return value


def _not_negative(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} must not be below 0")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} must be 1 or more")
    return value


# ---- what is shown --------------------------------------------------------------------------------


def _tell(journal: Journal, first: Ended) -> None:
    """The story of the first run."""
    sys.stdout.write("\n".join([*journal.lines, _last(first), ""]) + "\n")
    sys.stdout.flush()


def _last(ended: Ended) -> str:
    requests = f"the canary answered {ended.requests} requests in {_time(ended.exposed.total_seconds())}, {ended.errors} of them failed"
    return f"{'':10}{ended.outcome}: {requests}"


def _show(scenario: Scenario, journal: Journal, first: Ended, runs: dict[str, list[Ended]], args: argparse.Namespace) -> None:
    found = {kind: summary(ended) for kind, ended in runs.items() if ended}
    if args.output == "json":
        told = {"story": journal.lines, "outcome": first.outcome, "scenario": _asked(scenario, args)}
        sys.stdout.write(json.dumps(told | {kind: document(each) for kind, each in found.items()}, indent=2) + "\n")
        return
    if not found:
        return
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    console.print(_table(scenario, found))
    equal = found["equal"]
    for text in advice(equal, found.get("canary", equal), scenario.canary_errors > scenario.errors):
        console.print(f"- {text}")


def _asked(scenario: Scenario, args: argparse.Namespace) -> dict[str, Any]:
    return {
        "rps": scenario.rps,
        "errorRate": scenario.errors,
        "canaryErrorRate": scenario.canary_errors,
        "burst": scenario.burst,
        "noise": scenario.noise,
        "replicas": scenario.spec.replicas,
        "seed": args.seed,
    }


def _table(scenario: Scenario, found: dict[str, Summary]) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(f"{found['equal'].runs} rollouts each")
    titles = {"equal": f"equal canary ({scenario.errors:.3g})", "canary": f"this canary ({scenario.canary_errors:.3g})"}
    for kind in found:
        table.add_column(titles[kind], justify="right")
    rows: dict[str, Callable[[Summary], str]] = {
        "promoted": lambda each: _odds(each.promoted),
        "rolled back: proved worse": lambda each: _odds(each.failed),
        "rolled back: nothing proved": lambda each: _odds(each.unproved),
        "waits for a person": lambda each: _odds(each.waiting),
        "time to promotion, p50 / p95": lambda each: _spread(each.promotion, _time),
        "until a bad one is gone": lambda each: _spread(each.detection, _time),
        "requests to the canary": lambda each: _spread(each.requests, _number),
        "of them failed": lambda each: _spread(each.errors, _number),
    }
    for name, cell in rows.items():
        table.add_row(name, *(cell(each) for each in found.values()))
    return table


def _odds(found: Odds) -> str:
    told = found.document()
    return f"{100 * found.share:.1f} % ({100 * told['low']:.1f} .. {100 * told['high']:.1f})"


def _spread(found: Spread, show: Callable[[float], str]) -> str:
    return "-" if found.p50 is None or found.p95 is None else f"{show(found.p50)} / {show(found.p95)}"


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"


def _number(value: float) -> str:
    return f"{value:.0f}"


@contextmanager
def _bar(total: int) -> Iterator[Callable[[], None]]:
    """On stderr, where that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("rollouts"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=total)
        yield lambda: progress.advance(task)
