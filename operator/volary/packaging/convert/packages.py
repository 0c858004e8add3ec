"""Packages that only some conversions need: imported when they are, and named when they are missing."""

import importlib
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from volary.common.errors import Refused
from volary.common.reasons import Reason

# No extra: one of its own requirements (xdsl) asks for a typing-extensions that is older than pydantic's. It works with the newer.
LITERT = "pip install 'litert-torch>=0.10,<1' && pip install 'typing-extensions>=4.14.1'"


def need(module: str, extra: str, why: str, how: str = "") -> Any:
    """The module. Raises Refused (PackageMissing) with what to install: the extra, or what `how` says instead."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        name = (error.name or module).partition(".")[0]
        command = how or f"pip install 'volary[{extra}]'"
        raise Refused(Reason.PACKAGE_MISSING, f"{why} needs the package {name}; install it with: {command}") from None


def named(*packages: str) -> str:
    """Name and version of the first that is installed: `torch 2.12.0`."""
    for package in packages:
        try:
            return f"{package} {version(package)}"
        except PackageNotFoundError:
            continue
    return packages[0]
