"""One JSON object a line on standard error; other packages' records come out in the same shape.

    {"time": "...", "level": "info", "logger": "volary", "message": "...", "reason": "Promoted", ...}

Signed URLs and credentials in URLs are blanked out whatever a message carries.
"""

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

from typing_extensions import override

_FIELDS = "volary_fields"
_SECRETS = (
    (re.compile(r"(?i)\b(X-Amz-(?:Signature|Credential|Security-Token)=)[^&\s\"']+"), r"\1***"),
    (re.compile(r"(?i)\b((?:AWS_SECRET_ACCESS_KEY|AWS_SESSION_TOKEN)[=:]\s*)\S+"), r"\1***"),
    (re.compile(r"(?i)\b(bearer\s+)[A-Za-z0-9._~+/=-]{8,}"), r"\1***"),
    (re.compile(r"(\w+://)[^/\s:@]+:[^/\s@]+@"), r"\1***@"),
)


def scrub(text: str) -> str:
    """The text without what must not be read by others."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def fields(**values: Any) -> dict[str, Any]:
    """`extra` of a log call: what the line carries besides its message. None is left out."""
    return {_FIELDS: {name: value for name, value in values.items() if value is not None}}


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        """The line without its end."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, _FIELDS, {}),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return scrub(json.dumps(line, ensure_ascii=False, default=str))


def configure(level: str, stream: TextIO | None = None) -> None:
    """Everything that is logged goes to `stream` as JSON; libraries only from warnings on."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(logging.WARNING)
    logging.getLogger("volary").setLevel(level.upper())
    logging.captureWarnings(capture=True)
