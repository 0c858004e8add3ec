"""The explanation as one HTML file with the course drawn. It fetches nothing, holds no script and follows the reader's light or dark."""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from html import escape

from volary.cli.explain import counts, head, rows, span
from volary.cli.explanation import Explanation, against_in_words, in_favour_in_words
from volary.common.durations import show
from volary.planning.timeline import Point

_WIDTH, _LEFT, _RIGHT = 760, 56, 16
_HEIGHT, _TOP = 130, 10
_TICKS = (5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 28_800, 86_400)  # seconds between two
_STYLE = """
:root { color-scheme: light dark; --ground: #fff; --ink: #1d2430; --soft: #5b6675; --grid: #d9dee5; --canary: #b45309; --stable: #8a94a3;
  --good: #0f766e; --bad: #b42318; --open: #c9a227; }
@media (prefers-color-scheme: dark) { :root { --ground: #12161c; --ink: #e4e8ee; --soft: #9aa5b4; --grid: #2d3540; --canary: #f0a45d;
  --stable: #78838f; --good: #3cc4b4; --bad: #ff8a7a; --open: #d9b84a; } }
body { background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, sans-serif;
  max-width: 820px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0; overflow-wrap: anywhere; } h2 { font-size: 1.05rem; margin: 1.8rem 0 .4rem; }
p { margin: .25rem 0; } .soft { color: var(--soft); }
.Promoted, .Pass, .Serving { color: var(--good); } .RolledBack, .Failed, .Fail, .Refused { color: var(--bad); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .3rem .6rem; border-bottom: 1px solid var(--grid); }
th:first-child, td:first-child { text-align: left; padding-left: 0; } th { color: var(--soft); font-weight: 500; }
pre { margin: .4rem 0 0; white-space: pre-wrap; overflow-wrap: anywhere; }
svg { width: 100%; height: auto; display: block; } svg text { fill: var(--ink); font: 12px system-ui, sans-serif; }
svg .end { text-anchor: end; } svg .middle { text-anchor: middle; } svg .grid { stroke: var(--grid); }
svg .limit { stroke: var(--bad); stroke-dasharray: 4 3; } svg .line { fill: none; stroke-width: 2; }
svg .wanted { stroke: var(--soft); stroke-dasharray: 2 3; } svg .canary { stroke: var(--canary); } svg .stable { stroke: var(--stable); }
svg .against { stroke: var(--bad); } svg .favour { stroke: var(--good); }
svg rect.Pass { fill: var(--good); } svg rect.Fail { fill: var(--bad); } svg rect.Inconclusive { fill: var(--open); }
.bar { background: var(--grid); border-radius: 3px; height: .6rem; overflow: hidden; } .bar i { display: block; height: 100%; }
.bar.against i { background: var(--bad); } .bar.favour i { background: var(--good); }
.key::before { content: ""; display: inline-block; width: 1.1em; height: .25em; vertical-align: middle; margin-right: .4em;
  background: var(--soft); }
.key { margin-right: 1.2em; } .key.canary::before { background: var(--canary); } .key.stable::before { background: var(--stable); }
.key.against::before { background: var(--bad); } .key.favour::before { background: var(--good); }
"""


def render(told: Explanation) -> str:
    """The whole page."""
    body = "\n".join([*_head(told), *_findings(told), *_charts(told), *_stages(told), *_ahead(told)])
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<meta name="viewport" content="width=device-width">\n'
        f"<title>{escape(head(told))}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _head(told: Explanation) -> Iterator[str]:
    yield f'<h1>{escape(head(told))} <span class="{escape(told.outcome)}">{escape(told.outcome)}</span></h1>'
    yield f'<p class="soft">{escape(span(told))}</p>'
    yield from (f"<p>{escape(text)}</p>" for text in told.why)


def _findings(told: Explanation) -> Iterator[str]:
    for finding in told.findings:
        verdict = f'<span class="{escape(finding.verdict)}">{escape(finding.verdict)}</span>'
        only = " (reports only)" if finding.dry_run else ""
        yield f"<h2>{escape(finding.metric)}: {verdict}{only}</h2>\n<p>{escape(counts(finding))}</p>"
        for kind, percent, words in (
            ("against", finding.against, against_in_words(finding.against)),
            ("favour", finding.in_favour, in_favour_in_words(finding.in_favour)),
        ):
            yield f'<p>{escape(words)} ({percent} %)</p><div class="bar {kind}"><i style="width:{max(0, percent)}%"></i></div>'


def _stages(told: Explanation) -> Iterator[str]:
    if told.stages:
        names = ("step", "weight", "reached", "lasted", "requests", "errors", "verdict")
        yield f"<h2>Step by step</h2>\n<table>\n<tr>{''.join(f'<th>{name}</th>' for name in names)}</tr>"
        yield from (f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows(told))
        yield "</table>"


def _ahead(told: Explanation) -> Iterator[str]:
    if told.next:
        yield "<h2>What comes next</h2>"
        yield from (f"<p>{escape(text)}</p>" for text in told.next)
    if told.commands:
        yield "<h2>What you can do</h2>"
        yield from (f'<pre>{escape(each.line)}</pre><p class="soft">{escape(each.effect)}</p>' for each in told.commands)


# ---- charts ---------------------------------------------------------------------------------------


def _charts(told: Explanation) -> Iterator[str]:
    """Weights, evidence and errors over the same time."""
    course = told.course
    if len(course) < 2:
        return
    yield "<h2>Weight and verdict</h2>" + _keys(("canary", "share of the requests that is reached"), ("", "wanted"))
    yield _weights(course)
    yield "<h2>Evidence, in percent of a proof</h2>" + _keys(("against", "against the canary"), ("favour", "in its favour, in this step"))
    yield _evidence(course)
    yield "<h2>Requests that failed, so far</h2>" + _keys(("canary", "canary"), ("stable", "stable"))
    yield _errors(course)


def _keys(*found: tuple[str, str]) -> str:
    return "<p>" + "".join(f'<span class="key {kind}">{escape(word)}</span>' for kind, word in found) + "</p>"


def _weights(course: Sequence[Point]) -> str:
    chart = _Chart("Weight of the canary over time", course, 0, 100)
    chart.verdicts()
    chart.grid((0, 50, 100), "%")
    chart.line("wanted", lambda each: each.weight, stairs=True)
    chart.line("canary", lambda each: each.reached, stairs=True)
    return chart.drawn()


def _evidence(course: Sequence[Point]) -> str:
    low = min(0, *(min(each.against, each.in_favour) for each in course))
    chart = _Chart("Evidence over time", course, low, 105)
    chart.grid((0, 50), "%")
    chart.grid((100,), "%", kind="limit")
    chart.line("against", lambda each: each.against)
    chart.line("favour", lambda each: each.in_favour)
    return chart.drawn()


def _errors(course: Sequence[Point]) -> str:
    def share(errors: int, requests: int) -> float:
        return 100 * errors / requests if requests else 0.0

    highest = max(max(share(each.canary_errors, each.canary_requests), share(each.stable_errors, each.stable_requests)) for each in course)
    top = next((tick for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50) if tick >= highest), 100)
    chart = _Chart("Share of failed requests over time", course, 0, top)
    chart.grid((0, top / 2, top), "%")
    chart.line("stable", lambda each: share(each.stable_errors, each.stable_requests))
    chart.line("canary", lambda each: share(each.canary_errors, each.canary_requests))
    return chart.drawn()


class _Chart:
    """One plot over the seconds of a rollout."""

    def __init__(self, title: str, course: Sequence[Point], low: float, high: float) -> None:
        self._title, self._course, self._low, self._high = title, course, low, high
        self._parts: list[str] = []

    def x(self, seconds: float) -> float:
        """Across."""
        first, last = self._course[0].seconds, self._course[-1].seconds
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (seconds - first) / max(1, last - first)

    def y(self, value: float) -> float:
        """Down."""
        return _TOP + _HEIGHT * (1 - (value - self._low) / (self._high - self._low))

    def grid(self, values: Sequence[float], unit: str, *, kind: str = "grid") -> None:
        """Lines with their values at the left."""
        for value in values:
            y = self.y(value)
            self._parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="{kind}"/>')
            self._parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" class="end">{value:g} {unit}</text>')

    def line(self, kind: str, value: Callable[[Point], float], *, stairs: bool = False) -> None:
        """One line through all points. With `stairs`, and where a new step begins, the value before holds until then."""
        points: list[tuple[float, float]] = []
        step = self._course[0].step
        for each in self._course:
            x, y = self.x(each.seconds), self.y(value(each))
            points += [(x, points[-1][1]), (x, y)] if points and (stairs or each.step != step) else [(x, y)]
            step = each.step
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self._parts.append(f'<polyline points="{path}" class="line {kind}"/>')

    def verdicts(self) -> None:
        """A band at the top, one colour a verdict, with a word for the mouse."""
        for index, each in enumerate(self._course):
            end = self._course[index + 1] if index + 1 < len(self._course) else each
            x, width = self.x(each.seconds), max(2.0, self.x(end.seconds) - self.x(each.seconds))
            word = f"{show_at(each)}: {each.verdict}"
            left = min(x, _WIDTH - _RIGHT - width)
            self._parts.append(
                f'<rect x="{left:.1f}" y="0" width="{width:.1f}" height="6" class="{escape(each.verdict)}">'
                f"<title>{escape(word)}</title></rect>"
            )

    def drawn(self) -> str:
        """The SVG."""
        first, last = self._course[0].seconds, self._course[-1].seconds
        gap = next((tick for tick in _TICKS if (last - first) / tick <= 8), _TICKS[-1])
        for second in range(first - first % gap + (gap if first % gap else 0), last + 1, gap):
            label = _clock(second)
            self._parts.append(f'<text x="{self.x(second):.1f}" y="{_TOP + _HEIGHT + 18}" class="middle">{label}</text>')
        height = _TOP + _HEIGHT + 26
        return f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(self._title)}">{"".join(self._parts)}</svg>'


def show_at(point: Point) -> str:
    """`after 1m5s, step 2`."""
    return f"after {_clock(point.seconds)}, step {point.step}"


def _clock(seconds: int) -> str:
    return show(timedelta(seconds=seconds))
