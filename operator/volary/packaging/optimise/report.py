"""One HTML file with all figures and charts. It fetches nothing, holds no script and follows the reader's light or dark."""

from collections.abc import Iterator
from html import escape

from volary.bundle import limits
from volary.packaging.optimise import charts, figures
from volary.packaging.optimise.charts import Bar, Line
from volary.packaging.optimise.result import Measured, Optimised, total

_STYLE = """
:root { color-scheme: light dark; --ground: #fff; --ink: #1d2430; --soft: #5b6675; --grid: #d9dee5; --before: #8a94a3; --after: #0f766e;
  --bad: #b42318; }
@media (prefers-color-scheme: dark) { :root { --ground: #12161c; --ink: #e4e8ee; --soft: #9aa5b4; --grid: #2d3540; --before: #78838f;
  --after: #3cc4b4; --bad: #ff8a7a; } }
body { background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, sans-serif;
  max-width: 760px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0; overflow-wrap: anywhere; } h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
p { margin: .25rem 0; color: var(--soft); } .refused { color: var(--bad); font-weight: 600; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .3rem .6rem; border-bottom: 1px solid var(--grid); overflow-wrap: anywhere; }
th:first-child, td:first-child { text-align: left; padding-left: 0; } th { color: var(--soft); font-weight: 500; }
svg { width: 100%; height: auto; display: block; } svg text { fill: var(--ink); font: 13px system-ui, sans-serif; }
svg .end { text-anchor: end; } svg .middle { text-anchor: middle; } svg .grid { stroke: var(--grid); }
svg rect.before { fill: var(--before); } svg rect.after { fill: var(--after); }
svg .line { fill: none; stroke-width: 2.5; } svg .line.before { stroke: var(--before); } svg .line.after { stroke: var(--after); }
.key::before { content: ""; display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin-right: .4em;
  background: var(--ink); }
.key.before::before { background: var(--before); } .key.after::before { background: var(--after); } .key { margin-right: 1.2em; }
"""


def render(found: Optimised) -> str:
    """The whole page."""
    title = f"{found.model.name} → {found.output.name}"
    body = "\n".join([f"<h1>{escape(title)}</h1>", *_head(found), *_table(found), *_sections(found)])
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<meta name="viewport" content="width=device-width">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _head(found: Optimised) -> Iterator[str]:
    yield f"<p>{escape(' → '.join(found.steps))}</p>"
    if found.refusal is not None:
        yield f'<p class="refused">Refused: {escape(found.refusal)}</p>'
    for note in figures.notes(found.measured):
        yield f"<p>{escape(note[:1].upper() + note[1:])}.</p>"


def _table(found: Optimised) -> Iterator[str]:
    yield "<h2>Figures</h2>\n<table>\n<tr><th></th><th>before</th><th>after</th><th>ratio</th></tr>"
    for row in figures.rows(found):
        yield "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in (row.name, row.before, row.after, row.shown)) + "</tr>"
    yield "</table>"


def _sections(found: Optimised) -> Iterator[str]:
    measured = found.measured
    key = '<p><span class="key before">before</span><span class="key after">after</span></p>'
    yield f"<h2>Latency: share of calls that took at most so long</h2>\n{key}\n{_latency(measured)}"
    yield f"<h2>Size</h2>\n{_sizes(measured)}"
    if deviations := _deviations(measured):
        yield f"<h2>Largest deviation, as a share of the largest value before</h2>\n{deviations}"
    if found.layers:
        layers = [
            Bar(each.name, each.sparsity, f"{each.sparsity:.1%} of {each.weights:,}") for each in (total(found.layers), *found.layers)
        ]
        yield f"<h2>Zero weights of each layer</h2>\n{charts.bars('Zero weights of each layer', layers, most=1)}"


def _latency(measured: Measured) -> str:
    lines = [Line("before", _milliseconds(measured.before.seconds)), Line("after", _milliseconds(measured.after.seconds))]
    return charts.cumulative("Latency before and after", lines, "milliseconds")


def _milliseconds(seconds: tuple[float, ...]) -> list[float]:
    return [1000 * each for each in seconds]


def _sizes(measured: Measured) -> str:
    sides = (("before", measured.before), ("after", measured.after))
    return charts.bars("Size before and after", [Bar(kind, side.size, limits.show(side.size), kind) for kind, side in sides])


def _deviations(measured: Measured) -> str:
    found = [Bar(each.output, each.relative, f"{each.relative:.2%}") for each in measured.deviations if each.relative is not None]
    whole = 1 if all(bar.value <= 1 for bar in found) else None  # the axis is 100 % unless a deviation is beyond
    return charts.bars("Largest deviation of each output", found, most=whole) if found else ""
