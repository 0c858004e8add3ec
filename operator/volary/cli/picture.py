"""A ModelDeployment drawn as a tree for a terminal, and as one line where there is none."""

from collections.abc import Iterator
from datetime import datetime

from rich.console import RenderableType
from rich.text import Text
from rich.tree import Tree

from volary.api.v1alpha1 import Finding
from volary.cli import explanation
from volary.cli.explain import counts
from volary.cli.view import CheckView, ModelView, PodView, RevisionView, StepView, Tone, tone
from volary.common.durations import show

_STYLES = {Tone.GOOD: "green", Tone.BUSY: "yellow", Tone.BAD: "red"}
_WIDE, _NARROW = 20, 8  # characters of a bar
_ROOM = 80  # columns from which on a wide bar fits


def render(seen: ModelView, now: datetime, width: int = 100) -> RenderableType:
    """All that matters, on one screen; `width` columns."""
    bar = _WIDE if width >= _ROOM else _NARROW
    tree = Tree(_title(seen), guide_style="dim")
    for each in seen.revisions:
        branch = tree.add(_revision(each, bar))
        for pod in each.pods:
            branch.add(_pod(pod, now))
    if seen.step is not None:
        tree.add(_step(seen.step))
    for finding in seen.findings:
        _finding(tree.add(_finding_head(finding)), finding, bar)
    for check in seen.checks:
        tree.add(_check(check))
    for line in _closing(seen):
        tree.add(line)
    return tree


def line(seen: ModelView) -> str:
    """The same in a line: what a log keeps. It changes when something happens, not with the clock."""
    parts = [f"{seen.namespace}/{seen.name}", seen.phase, f"ready {seen.ready}"]
    parts += [
        f"{each.role} {each.version} {each.ready}/{each.replicas} {each.reached}% of {each.weight}%"
        for each in seen.revisions
        if each.role in {"stable", "canary"}
    ]
    if seen.step is not None:
        parts.append(_where(seen.step))
    parts += [f"{each.metric} {each.verdict}" for each in seen.findings]
    return "  ".join([*parts, *([seen.message] if seen.message else [])])


def _title(seen: ModelView) -> Text:
    title = Text.assemble(
        (f"{seen.namespace}/{seen.name}", "bold"), "  ", (seen.phase, f"bold {_STYLES[seen.tone]}"), f"  ready {seen.ready}"
    )
    if seen.message:
        title.append(f"\n{seen.message}")
    if seen.remedy:
        title.append(f"\n{seen.remedy}", "italic")
    if not seen.seen:
        title.append("\nthe operator has not seen the latest change yet", "yellow")
    return title


def _revision(each: RevisionView, bar: int) -> Text:
    full = each.ready == each.replicas
    text = Text.assemble(
        (f"{each.role:<8}", "bold"),
        f"{each.version}  ",
        (f"{each.revision}  " if bar == _WIDE or not each.version else "", "dim"),  # a narrow terminal has no room for it
        (f"{each.ready}/{each.replicas} ready", "green" if full else "yellow"),
    )
    if each.role in {"stable", "canary"}:
        text.append("  ")
        text.append_text(_weight(each, bar))
    if each.note:
        text.append(f"  {each.note}", "dim")
    return text


def _weight(each: RevisionView, bar: int) -> Text:
    """Filled: reached; shaded: wanted and not reached yet."""
    reached, wanted = round(bar * each.reached / 100), round(bar * each.weight / 100)
    text = Text("█" * reached, "cyan")
    text.append("▒" * max(0, wanted - reached), "cyan")
    text.append("░" * (bar - max(reached, wanted)), "dim")
    words = f" {each.reached}%" if each.reached == each.weight else f" {each.reached}% of {each.weight}% wanted"
    return text.append(words, "default")


def _pod(pod: PodView, now: datetime) -> Text:
    state = "ready" if pod.ready and pod.state == "Running" else pod.state if pod.state != "Running" else "not ready"
    restarts = f"{pod.restarts} restart{'' if pod.restarts == 1 else 's'}"
    return Text.assemble(
        f"{pod.name}  ",
        (state, "green" if state == "ready" else "yellow"),
        "  ",
        (restarts, "red" if pod.restarts else "dim"),
        (f"  {show(now - pod.since)}", "dim"),
    )


def _where(step: StepView) -> str:
    count = len(step.weights)
    if step.at == 0:
        return "starting"
    return f"step {step.at} of {count}" if step.at <= count else "promoting"


def _step(step: StepView) -> Text:
    """`step 2 of 3  1m10s of 3m, 1m50s left  5% > [25%] > 50% > 100%`."""
    text = Text(_where(step), "bold")
    if step.length:
        left = f"{show(step.left)} left" if step.left else "waits for the evidence"
        text.append(f"  {show(step.lasted)} of {show(step.length)}, {f'until {step.waits}' if step.waits else left}", "default")
    else:
        text.append(f"  since {show(step.lasted)}", "default")
    for index, weight in enumerate((*step.weights, 100), start=1):
        text.append("  " if index == 1 else " > ", "dim")
        here = index == step.at
        text.append(f"[{weight}%]" if here else f"{weight}%", "bold yellow" if here else "green" if index < step.at else "dim")
    return text


def _finding_head(finding: Finding) -> Text:
    only = "  (reports only)" if finding.dry_run else ""
    return Text.assemble(
        (finding.metric, "bold"), "  ", (finding.verdict, f"bold {_STYLES[tone(finding.verdict)]}"), f"{only}  {counts(finding)}"
    )


def _finding(branch: Tree, finding: Finding, bar: int) -> None:
    """How sure it is, both ways, and how many more requests a proof takes."""
    needed = f"about {finding.requests_needed} more requests without an error would prove it" if finding.requests_needed else ""
    branch.add(_evidence("against", finding.against, "red", explanation.against_in_words(finding.against), bar))
    branch.add(_evidence("for", finding.in_favour, "green", needed or explanation.in_favour_in_words(finding.in_favour), bar))


def _evidence(name: str, percent: int, style: str, words: str, bar: int) -> Text:
    full = round(bar * max(0, percent) / 100)
    return Text.assemble(f"{name:<8}", ("█" * full, style), ("░" * (bar - full), "dim"), f" {percent:>4}%  ", (words, "dim"))


def _check(check: CheckView) -> Text:
    dry = " (dry run)" if check.dry_run else ""
    return Text.assemble((check.name, "bold"), "  ", (f"{check.verdict}{dry}", _STYLES[tone(check.verdict)]), f"  {check.says}")


def _closing(seen: ModelView) -> Iterator[Text]:
    if seen.kept:
        yield Text(f"kept: {', '.join(seen.kept)}", "dim")
    for each in seen.conditions:
        style = {"True": "green", "False": "yellow"}.get(each.status, "dim")
        # The message of Ready is that of the title.
        message = f": {each.message}" if each.message and each.message != seen.message else ""
        since = f"since {each.last_transition_time.astimezone():%Y-%m-%d %H:%M:%S}"
        yield Text.assemble((each.type, "bold"), " ", (each.status, style), f" {each.reason}", (f" {since}", "dim"), message)
    yield from (Text(text, "dim") for text in seen.decisions)
