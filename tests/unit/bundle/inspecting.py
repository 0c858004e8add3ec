"""Files to be looked into: how much of them is read is counted."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import strategies as st

from volary.bundle import limits, onnx_graph, saved_model
from volary.bundle.facts import Facts
from volary.common.errors import Refused
from volary.common.reasons import Reason

DATA = {"weights.bin": 64, "sub/more": 8}  # data files beside every hostile ONNX model
BUDGET = limits.MIB  # more than any hostile model here has; a reader of more fails the test


@dataclass
class Counted:
    """A reader that knows what was asked of it. `size` may be more than there is: the rest is zeros nobody should read."""

    data: bytes
    size: int
    total: int = 0
    calls: int = 0

    def __call__(self, offset: int, size: int) -> bytes:
        assert 0 <= offset <= offset + size <= self.size
        self.total += size
        self.calls += 1
        return self.data[offset : offset + size].ljust(size, b"\0")


def counted(data: bytes, size: int | None = None) -> Counted:
    return Counted(data, len(data) if size is None else size)


def onnx(data: bytes, size: int | None = None, *, domains: tuple[str, ...] = ()) -> Facts:
    return _within_budget(
        data, size, lambda reader: onnx_graph.check(reader, reader.size, "model.onnx", DATA, domains=domains, budget=BUDGET)
    )


def tensorflow(data: bytes, size: int | None = None, files: tuple[str, ...] = ("assets/words.txt",)) -> Facts:
    return _within_budget(data, size, lambda reader: saved_model.check(reader, reader.size, "saved_model.pb", files, budget=BUDGET))


def _within_budget(data: bytes, size: int | None, look: Callable[[Counted], Facts]) -> Facts:
    reader = counted(data, size)
    try:
        return look(reader)
    finally:
        assert reader.total <= BUDGET
        assert reader.total <= 2 * len(data) + 4 * limits.KIB


@dataclass
class Case:
    """A file, and what is said of it."""

    data: bytes
    reason: Reason
    text: str


def refusal(look: Callable[[bytes], Facts], data: bytes) -> Refused:
    """The message is for a person's terminal: harmless, bounded, and it says what to do."""
    with pytest.raises(Refused) as caught:
        look(data)
    message = caught.value.message
    assert message.isascii()
    assert message.isprintable()
    assert len(message) < 1500
    return caught.value


@st.composite
def spoilt(draw: st.DrawFn, models: list[bytes]) -> bytes:
    """A model with bytes changed, cut out, doubled or put in, a few times."""
    data = draw(st.sampled_from(models))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 8)))
        match draw(st.integers(0, 4)):
            case 0:
                data = data[:start] + draw(st.binary(min_size=end - start, max_size=end - start)) + data[end:]
            case 1:
                data = data[:start] + data[end:]
            case 2:
                data = data[:end] + data[start:end] + data[end:]
            case 3:
                data = data[:start] + draw(st.binary(max_size=8)) + data[start:]
            case _:
                data = data[:start]
    return data
