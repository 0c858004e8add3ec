"""How far a transfer is, on stderr; nothing where that is no terminal, or where `rich` is not installed, as in a pod."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def bar(word: str, total: int) -> Iterator[Callable[[int], None]]:
    """Yields what is to be called with the bytes done since the last call, from any thread."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    try:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
    except ModuleNotFoundError:
        yield lambda _: None
        return
    columns = (TextColumn(word), BarColumn(), DownloadColumn(binary_units=True), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=total)
        yield lambda count: progress.advance(task, count)
