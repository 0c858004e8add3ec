"""Nothing secret and nothing that spoils a terminal gets into a status."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volary.planning import excerpts


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("GET https://minio/b/k?X-Amz-Credential=AKIDEXAMPLE%2F2026&X-Amz-Signature=deadbeef: 403", ["AKIDEXAMPLE", "deadbeef"]),
        ("https://user:hunter2@minio:9000 refuses", ["hunter2", "user:"]),
        ("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY", ["wJalr"]),
        ('{"secretKey": "abc123", "x": 1}', ["abc123"]),
        ("session token: FwoGZXIvYXdzEBYaDH", ["FwoGZX"]),
        ("the key AKIAIOSFODNN7EXAMPLE is disabled", ["AKIAIOSFODNN7EXAMPLE"]),
        ("signed with wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY in vain", ["wJalr", "EXAMPLEKEY"]),
        ("Authorization: AWS4-HMAC-SHA256 Credential=x, Signature=abcdef", ["abcdef", "AWS4"]),
        ("password = 'pa55word'", ["pa55word"]),
    ],
)
def test_credentials_are_hidden(text: str, hidden: list[str]) -> None:
    shown = excerpts.harmless(text)
    assert "[hidden]" in shown
    assert not any(part in shown for part in hidden)


@pytest.mark.parametrize(
    "text",
    [
        'secret "models-s3" not found',
        "couldn't find key AWS_SECRET_ACCESS_KEY in Secret shop/models-s3",
        "model.onnx is sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "3 of 1200 requests failed (0.25 %)",
        "https://minio.storage:9000 refuses connections",
    ],
)
def test_what_helps_a_person_stays(text: str) -> None:
    assert excerpts.harmless(text) == text


def test_the_last_line_that_says_something() -> None:
    assert excerpts.line("Traceback:\n  File x\nValueError: \x1b[31mbad\x1b[0m\r\n\n  \n") == "ValueError: [31mbad [0m"
    assert excerpts.line("\n \n") == ""


@given(st.text(max_size=2000))
def test_an_excerpt_is_one_short_printable_line(text: str) -> None:
    for shown in (excerpts.harmless(text), excerpts.line(text)):
        assert shown.isprintable()
        assert len(shown) <= excerpts.LIMIT
