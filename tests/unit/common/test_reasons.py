"""The closed list of reasons."""

from __future__ import annotations

import re

import pytest

from volary.common.reasons import REASONS, Kind, Meaning, Reason


def test_every_reason_has_a_meaning_and_no_other_has() -> None:
    assert set(REASONS) == set(Reason)


@pytest.mark.parametrize("reason", list(Reason))
def test_reason_is_what_kubernetes_takes(reason: Reason) -> None:
    assert re.fullmatch(r"[A-Z][A-Za-z0-9]*", reason)
    assert len(reason) <= 64


@pytest.mark.parametrize(("reason", "meaning"), list(REASONS.items()), ids=str)
def test_meaning_is_a_sentence(reason: Reason, meaning: Meaning) -> None:
    assert meaning.text.endswith("."), reason
    assert not meaning.remedy or meaning.remedy.endswith(".")


@pytest.mark.parametrize("reason", [reason for reason, meaning in REASONS.items() if meaning.kind is Kind.USER])
def test_who_must_act_is_told_how(reason: Reason) -> None:
    assert REASONS[reason].remedy
