"""A harmless line out of what a container or the API server said, fit for a status and an Event.

Storage clients put signed URLs into their errors, servers print whatever they were given. A status
is read by more people than a log, so it gets one line, no control characters and nothing that
looks like a credential.
"""

import re

LIMIT = 300  # characters
_HIDDEN = "[hidden]"
_SECRETS = (
    re.compile(r"(?<=://)[^/\s@]+@"),  # user:password@ of a URL
    re.compile(r"(?<=[?&])(X-Amz-[A-Za-z-]+|AWSAccessKeyId|Signature|Expires)=[^&\s\"']*", re.IGNORECASE),
    re.compile(r"\b(authorization|proxy-authorization)\b\s*[:=].*", re.IGNORECASE),
    re.compile(
        r"\b[\w-]*(secret|password|passwd|token|credential|access_?key|api_?key|signature)[\w-]*[\"']?\s*[:=]\s*[\"']?[^\s\"',;&]+",
        re.IGNORECASE,
    ),
    re.compile(r"\b(AKIA|ASIA|AROA|AIDA)[A-Z0-9]{12,}\b"),  # key ids of AWS
    re.compile(
        r"(?<![A-Za-z0-9/+=])(?=[A-Za-z0-9/+]*[A-Z])(?=[A-Za-z0-9/+]*[a-z])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])"
    ),  # secret keys of AWS
)


def line(text: str) -> str:
    """The last line that says something, or the empty string."""
    lines = [harmless(part) for part in text.splitlines()]
    return next((part for part in reversed(lines) if part), "")


def harmless(text: str) -> str:
    """All of it as one line, without what must not be seen, and shortened."""
    shown = "".join(char if char.isprintable() else " " for char in text)
    for pattern in _SECRETS:
        shown = pattern.sub(_HIDDEN, shown)
    shown = " ".join(shown.split())
    return shown if len(shown) <= LIMIT else f"{shown[: LIMIT - 3]}..."
