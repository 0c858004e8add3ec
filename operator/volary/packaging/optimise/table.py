"""Before and after in the terminal."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from volary.packaging.optimise import figures
from volary.packaging.optimise.figures import Row
from volary.packaging.optimise.result import Layer, Optimised

_MOST = 20  # layers
_NEWS = 0.05  # a ratio nearer to 1 than this is no news


def render(found: Optimised) -> RenderableType:
    """A row a figure, then the layers that were pruned."""
    table = _table("", "BEFORE", "AFTER", "RATIO")
    for row in figures.rows(found):
        table.add_row(Text(row.name), row.before, row.after, Text(row.shown, style=_style(row)))
    title = Text.assemble((str(found.output), "bold"), "  ", " > ".join(found.steps))
    parts: list[RenderableType] = [title, table]
    if found.layers:
        parts.append(_layers(found.layers))
    parts += [Text(note, style="yellow" if found.measured.random and "random" in note else "dim") for note in figures.notes(found.measured)]
    return Group(*parts)


def _layers(layers: tuple[Layer, ...]) -> Table:
    table = _table("LAYER", "WEIGHTS", "ZEROS")
    for layer in layers[:_MOST]:
        table.add_row(Text(layer.name), f"{layer.weights:,}", f"{layer.sparsity:.2%}")
    if len(layers) > _MOST:
        table.add_row(f"and {len(layers) - _MOST} more", "", "")
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left")
    return table


def _style(row: Row) -> str:
    if row.ratio is None or abs(row.ratio - 1) < _NEWS:
        return ""
    return "green" if row.ratio < 1 else "red"
