"""What people look at: the table and the page."""

import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from volary.packaging.optimise import charts, figures, report, table
from volary.packaging.optimise.charts import Bar, Line
from volary.packaging.optimise.result import Deviation, Layer, Measured, Optimised, Side

BEFORE = Side(4096, 0.010, 0.020, 0.030, (0.02, 0.02, 0.03), 0.97)
AFTER = Side(1024, 0.005, 0.010, 0.045, (0.01, 0.01, 0.045), 0.96)
FOUND = Optimised(
    model=Path("m.onnx"),
    output=Path("small.onnx"),
    steps=("simplify", "prune-0.5", "int8-static"),
    layers=(Layer("encoder.<0>&weight", 100, 50), Layer("w", 300, 150)),
    measured=Measured(BEFORE, AFTER, (Deviation("scores", 0.25, 0.05, 0.01), Deviation("label", None, None, 0.02)), 300, False, 1),
    refusal=None,
)


def shown(found: Optimised) -> str:
    page = io.StringIO()
    Console(width=120, file=page).print(table.render(found))
    return page.getvalue()


def test_the_table_has_before_after_and_ratio() -> None:
    lines = {re.split(r"  +", line)[0]: re.split(r"  +", line.rstrip())[1:] for line in shown(FOUND).splitlines()}
    assert lines["size"] == ["4 KiB", "1 KiB", "0.25 x"]
    assert lines["latency p50"] == ["20 ms", "10 ms", "0.50 x"]
    assert lines["latency p99"] == ["30 ms", "45 ms", "1.50 x"]
    assert lines["accuracy"] == ["0.9700", "0.9600 (-0.0100)"]
    assert lines["deviation of scores"] == ["0.25 (5.00% of largest)"]
    assert lines["other answers in label"] == ["2.00%"]
    assert lines["zero weights"] == ["50.00% of 400"]
    assert lines["w"] == ["300", "50.00%"]


def test_the_table_says_what_was_measured_with() -> None:
    assert "measured on 300 samples\n" in shown(FOUND)
    assert "measured on 300 random samples" in shown(replace(FOUND, measured=replace(FOUND.measured, random=True)))
    assert "latency of 3 calls each, by turns, 1 thread" in shown(FOUND)


@pytest.mark.parametrize(("seconds", "wanted"), [(0.0123, "12.3 ms"), (1e-4, "0.1 ms"), (7.52e-6, "7.52 µs"), (1.5, "1.5e+03 ms")])
def test_durations_for_people(seconds: float, wanted: str) -> None:
    assert figures.duration(seconds) == wanted


class Page(HTMLParser):
    """Which tags and addresses a page has."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for key, value in attrs if key in ("src", "href", "action", "data")]


def test_the_page_holds_all_and_fetches_nothing() -> None:
    text = report.render(FOUND)
    page = Page()
    page.feed(text)
    assert page.addresses == []
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    assert "url(" not in text
    assert "http" not in text
    assert page.tags.count("svg") == 4
    assert "prefers-color-scheme: dark" in text


def test_names_in_the_page_are_text() -> None:
    assert "encoder.<0>" not in report.render(FOUND)
    assert "encoder.&lt;0&gt;&amp;weight" in report.render(FOUND)


def test_a_refusal_is_on_the_page() -> None:
    assert "Refused: the accuracy falls" in report.render(replace(FOUND, refusal="the accuracy falls"))


def test_infinite_deviations_are_shown_and_json_says_so() -> None:
    infinite = Deviation("scores", float("inf"), float("inf"), 1.0)
    found = replace(FOUND, measured=replace(FOUND.measured, deviations=(infinite,)))
    assert "inf" in shown(found)
    assert "inf%" in report.render(found)
    assert found.document()["outputs"] == [
        {"name": "scores", "maxAbsolute": None, "maxRelative": None, "changed": 1.0, "comparable": False}
    ]


TIMES = st.lists(st.floats(1e-6, 1e4), min_size=1, max_size=30)  # milliseconds; a clock has no finer ticks than a nanosecond


@given(TIMES, TIMES)
def test_any_distribution_is_drawn_within_the_picture(before: list[float], after: list[float]) -> None:
    picture = ET.fromstring(charts.cumulative("t", [Line("before", before), Line("after", after)], "ms"))
    width, height = map(float, picture.attrib["viewBox"].split()[2:])
    for line in picture.iter("polyline"):
        points = [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]
        assert all(0 <= x <= width and 0 <= y <= height for x, y in points)
        assert all(one[0] <= other[0] and one[1] >= other[1] for one, other in pairwise(points))


@given(st.floats(0, 1e6), st.floats(1e-6, 1e6))
def test_an_axis_is_round_and_holds_its_range(low: float, size: float) -> None:
    ticks = charts.axis(low, low + size)
    assert ticks[0] <= low + 1e-6 * size
    assert ticks[-1] >= low + size * (1 - 1e-6)
    assert 2 <= len(ticks) <= 9


def test_an_axis_of_one_value() -> None:
    assert charts.axis(0.0, 0.0) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]


def test_bars_are_as_long_as_their_values() -> None:
    picture = ET.fromstring(charts.bars("t", [Bar("a", 1, "1"), Bar("b", 4, "4"), Bar("c", float("inf"), "inf")]))
    one, four, infinite = (float(bar.attrib["width"]) for bar in picture.iter("rect"))
    assert four == pytest.approx(4 * one)
    assert infinite == four
