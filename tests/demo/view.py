"""The story as a live picture in the terminal, or as a line for each change where there is no terminal."""

from __future__ import annotations

import io
import re
import threading
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from types import TracebackType

    from tests.demo.story import Chapter, Story
    from tests.demo.watching import Row

WIDTH = 118
REFRESH = 5  # a second
BAR = 14
SHARE_BAR = 58
SHARE_WINDOW = 1.5  # seconds of answers that the bar of shares shows
EVENTS = 5
_COLOURS = {"stable": "green", "canary": "yellow", "previous": "bright_black", "checking": "cyan", "refused": "red", "rolled back": "red"}
_COLUMNS: tuple[tuple[str, Literal["left", "right"]], ...] = (
    ("version", "left"),
    ("revision", "left"),
    ("role", "left"),
    ("weight", "left"),
    ("ready", "right"),
    ("failed / requests", "right"),
    ("verdict", "left"),
)


class View:
    """Draws `story` until left. `best` is the frame worth keeping as a picture."""

    def __init__(self, story: Story, *, plain: bool) -> None:
        self._story = story
        self._plain = plain
        self._console = Console()
        self._shares = Shares(story)
        self._best: RenderableType | None = None
        self._stop = threading.Event()
        self._printer = threading.Thread(target=self._print_changes, daemon=True)
        self._live = None if plain else Live(console=self._console, refresh_per_second=REFRESH, get_renderable=self._frame)

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        else:
            self._printer.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        if self._live:
            self._live.stop()
        else:
            self._printer.join(5)

    def save(self, file: Path) -> None:
        """The best frame as SVG: no fonts from elsewhere."""
        canvas = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
        canvas.print(self._best or self._frame())
        picture = canvas.export_svg(title="make demo")
        file.write_text(re.sub(r"@font-face\s*\{[^}]*\}", "", picture))

    # ---- live

    def _frame(self) -> RenderableType:
        self._shares.look()
        frame = draw(self._story, self._shares)
        if any(row.role == "canary" and row.errors and row.reached for row in self._story.watch.rows.values()):
            self._best = frame
        return frame

    # ---- plain

    def _print_changes(self) -> None:
        last, told = "", 0
        while not self._stop.is_set():
            self._shares.look()
            if any(row.role == "canary" and row.errors and row.reached for row in self._story.watch.rows.values()):
                self._best = draw(self._story, self._shares)
            line = _line(self._story)
            if line != last:
                self._say(f"{line} | {_requests(self._story).plain}")
                last = line
            told = self._print_results(told)
            self._stop.wait(0.2)
        self._print_results(told)

    def _print_results(self, told: int) -> int:
        done = [chapter for chapter in self._story.chapters if chapter.seconds is not None]
        for chapter in done[told:]:
            self._say(f"* {chapter.title}: {chapter.result}")
        return len(done)

    def _say(self, text: str) -> None:
        elapsed = time.monotonic() - self._story.began
        print(f"[{elapsed:6.1f} s] {text}", flush=True)


class Shares:
    """Who answered lately: differences of the load's totals."""

    def __init__(self, story: Story) -> None:
        self._story = story
        self._seen: deque[tuple[float, dict[str, int]]] = deque()
        self.counts: dict[str, int] = {}

    def look(self) -> None:
        """Note the totals of now, forget those before the window."""
        totals, now = self._story.totals, time.monotonic()
        self._seen.append((now, {**totals.by_version, "error": totals.model_errors + totals.failed}))
        while len(self._seen) > 1 and self._seen[0][0] < now - SHARE_WINDOW:
            self._seen.popleft()
        before = self._seen[0][1]
        self.counts = {key: count - before.get(key, 0) for key, count in self._seen[-1][1].items()}


def draw(story: Story, shares: Shares) -> RenderableType:
    """One frame."""
    parts: list[RenderableType] = [_chapters(story), _versions(story), _share_bar(story, shares), Text(), _requests(story)]
    if story.watch.happenings:
        parts += [Text(), _events(story)]
    elapsed = time.monotonic() - story.began
    title = Text.assemble((" Volary ", "bold black on green"), ("  a model's life on a real cluster ", "bold"))
    state = story.watch.phase or "…"
    phase = Text.assemble(
        (f" {story.watch.name}: ", "bright_black"), (state, _phase_style(state)), (f"  {elapsed:5.1f} s ", "bright_black")
    )
    frame = Panel(Group(*parts), title=title, title_align="left", width=WIDTH, padding=(1, 2), border_style="green")
    frame.subtitle, frame.subtitle_align = phase, "right"
    return frame


def _chapters(story: Story) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(width=1)
    table.add_column(width=1)
    table.add_column(width=25, no_wrap=True)
    table.add_column(width=5, justify="right")
    table.add_column(width=74, no_wrap=True, overflow="ellipsis")
    for number, chapter in enumerate(story.chapters, 1):
        table.add_row(*_chapter(number, chapter))
    return table


def _chapter(number: int, chapter: Chapter) -> tuple[Text, ...]:
    if chapter.seconds is not None:
        sign, style, seconds = Text("✔", style="bold green"), "", chapter.seconds
    elif chapter.began is not None:
        sign, style, seconds = Text("▶", style="bold yellow"), "bold yellow", time.monotonic() - chapter.began
    else:
        sign, style, seconds = Text("·"), "bright_black", None
    took = Text("" if seconds is None else f"{seconds:.0f} s", style="bright_black")
    return sign, Text(str(number), style=style), Text(chapter.title, style=style), took, Text(chapter.result, style="bright_black")


def _versions(story: Story) -> Table:
    table = Table(box=SIMPLE_HEAD, expand=True, header_style="bright_black", pad_edge=False)
    for name, justify in _COLUMNS:
        table.add_column(name, justify=justify, no_wrap=True)
    for version in sorted(story.watch.rows):
        table.add_row(*_version(story.watch.rows[version]))
    return table


def _version(row: Row) -> tuple[Text, ...]:
    colour = _COLOURS.get(row.role, "white")
    ready = Text(f"{row.ready}/{row.replicas}" if row.replicas else "-", style=colour if row.ready else "bright_black")
    evidence = Text(f"{row.errors} / {row.requests}" if row.requests else "-", style="red" if row.errors else "bright_black")
    return (
        Text(row.version, style=f"bold {colour}"),
        Text(row.revision or "-", style="bright_black"),
        Text(row.role, style=colour),
        _bar(row, colour),
        ready,
        evidence,
        Text(row.verdict, style=_verdict_style(row.verdict)),
    )


def _bar(row: Row, colour: str) -> Text:
    """Reached is solid, wanted beyond it is a shade."""
    if not row.replicas:
        return Text("-", style="bright_black")
    solid, wanted = round(BAR * row.reached / 100), round(BAR * row.weight / 100)
    shade = max(0, wanted - solid)
    figures = f" {row.reached:3d} %" if row.reached == row.weight else f" {row.reached:3d} % of {row.weight} %"
    return Text.assemble(("█" * solid, colour), ("░" * shade, colour), ("·" * (BAR - solid - shade), "bright_black"), (figures, colour))


def _share_bar(story: Story, shares: Shares) -> Text:
    """Whose answers clients got in the last moment."""
    total = sum(shares.counts.values())
    if not total:
        return Text("  answers  " + "·" * SHARE_BAR, style="bright_black")
    text = Text("  answers  ", style="bright_black")
    drawn, cumulated = 0, 0
    for key in sorted(shares.counts, key=lambda k: (k == "error", k)):
        cumulated += shares.counts[key]
        end = round(SHARE_BAR * cumulated / total)
        row = story.watch.rows.get(key)
        text.append("█" * (end - drawn), style="red" if key == "error" else _COLOURS.get(row.role if row else "", "white"))
        drawn = end
    legend = "  ".join(f"{key} {100 * count / total:.0f} %" for key, count in sorted(shares.counts.items()) if count)
    return text.append(f"  {legend}", style="bright_black")


def _requests(story: Story) -> Text:
    totals = story.totals
    failed = (f"{totals.failed} failed because of Volary", "bold white on red" if totals.failed else "bold green")
    own = f"   {totals.model_errors} failed by 5.0.0 itself" if totals.model_errors else ""
    pace = f"   {totals.rate:.0f}/s  p50 {totals.latency_p50:.0f} ms  p99 {totals.latency_p99:.0f} ms" if totals.sent else ""
    return Text.assemble(
        ("  requests ", "bright_black"), (f"{totals.sent:,} sent", "bold"), "   ", failed, (own, "red"), (pace, "bright_black")
    )


def _events(story: Story) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(width=9, justify="right")
    table.add_column(width=17, no_wrap=True)
    table.add_column(width=82, no_wrap=True, overflow="ellipsis")
    for event in story.watch.happenings[-EVENTS:]:
        reason = Text(event.reason, style="red" if event.warning else "cyan")
        table.add_row(Text(event.at, style="bright_black"), reason, Text(event.message, style="bright_black"))
    return table


def _line(story: Story) -> str:
    """What has to change for another line to be printed."""
    current = next((f"{n} {c.title}" for n, c in enumerate(story.chapters, 1) if c.began and c.seconds is None), "")
    rows = [
        f"{row.version} {row.role} {row.reached}/{row.weight} % {row.ready}/{row.replicas} ready {row.verdict}".rstrip()
        for row in story.watch.rows.values()
        if row.replicas or row.role in {"checking", "refused"}
    ]
    return f"{current}: {story.watch.phase or '…'} | {'; '.join(rows)}"


def _phase_style(phase: str) -> str:
    return {"Serving": "bold green", "Refused": "bold red", "RolledBack": "bold red", "Failed": "bold red"}.get(phase, "bold yellow")


def _verdict_style(verdict: str) -> str:
    if verdict in {"Pass", "Serving"}:
        return "green"
    return "bright_black" if verdict in {"", "Inconclusive"} else "bold red"
