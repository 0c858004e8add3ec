"""Whose certificates the storage's endpoint must have: given as text, for a pod gets it by a variable."""

import os
import ssl
import tempfile
from functools import cache

from volary.common.errors import Refused
from volary.common.names import AUTHORITY, AUTHORITY_VARIABLE
from volary.common.reasons import Reason


def file() -> str | None:
    """A file with them, or None where none are given. Raises Refused (SpecInvalid) when they are no certificates."""
    text = os.environ.get(AUTHORITY_VARIABLE)
    return _written(text) if text is not None else None


@cache
def _written(text: str) -> str:
    _check(text)
    with tempfile.NamedTemporaryFile("w", prefix="volary-authority-", suffix=".pem", delete=False) as stream:
        stream.write(text)
    return stream.name


def _check(text: str) -> None:
    try:
        ssl.create_default_context(cadata=text or "\n")
    except (ssl.SSLError, ValueError):
        where = f"{AUTHORITY} of spec.model.storage.authorityConfigMapName"
        raise Refused(Reason.SPEC_INVALID, f"{where} holds no certificates; write those of the endpoint's issuer there, as PEM") from None
