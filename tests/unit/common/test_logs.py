"""Log lines: JSON, and nothing in them that must not be read."""

import json
import logging
import sys

import pytest

from volary.common.logs import JsonFormatter, fields, scrub


def line(message: str, *args: object, **extra: object) -> dict[str, object]:
    record = logging.LogRecord("volary", logging.WARNING, "file", 1, message, args, None)
    record.__dict__.update(fields(**extra))
    found: dict[str, object] = json.loads(JsonFormatter().format(record))
    return found


def test_a_line() -> None:
    found = line("turn failed: %s", "away", namespace="shop", name="fraud", retry_in=1.5, nothing=None)
    time = found.pop("time")
    assert isinstance(time, str)
    assert time.endswith("Z")
    expected = {
        "level": "warning",
        "logger": "volary",
        "message": "turn failed: away",
        "namespace": "shop",
        "name": "fraud",
        "retry_in": 1.5,
    }
    assert found == expected


def test_an_error_is_one_line_too() -> None:
    try:
        {}["oops"]
    except KeyError:
        record = logging.LogRecord("volary", logging.ERROR, "file", 1, "fault", (), sys.exc_info())
    text = JsonFormatter().format(record)
    assert "\n" not in text
    assert "KeyError: 'oops'" in json.loads(text)["error"]


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("GET https://s3/x?X-Amz-Signature=ab12&X-Amz-Date=1", "GET https://s3/x?X-Amz-Signature=***&X-Amz-Date=1"),
        ("x-amz-security-token=IQoJ/abc+=", "x-amz-security-token=***"),
        ("http://user:pass@proxy:3128/", "http://***@proxy:3128/"),
        ("Authorization: Bearer eyJhbGciOi.J9", "Authorization: Bearer ***"),
        ("AWS_SECRET_ACCESS_KEY=wJalr", "AWS_SECRET_ACCESS_KEY=***"),
        ("a bearer of news", "a bearer of news"),
        ("s3://models/fraud version 1.0", "s3://models/fraud version 1.0"),
    ],
)
def test_secrets_are_blanked_out(text: str, clean: str) -> None:
    assert scrub(text) == clean
