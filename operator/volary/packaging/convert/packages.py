"""Packages that only some conversions need: imported when they are, and named when they are missing."""

import importlib
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from volary.common.errors import Refused
from volary.common.reasons import Reason


def need(module: str, extra: str, why: str) -> Any:
    """The module. Raises Refused (PackageMissing) with what to install."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        name = (error.name or module).partition(".")[0]
        raise Refused(Reason.PACKAGE_MISSING, f"{why} needs the package {name}; install it with: pip install 'volary[{extra}]'") from None


def named(*packages: str) -> str:
    """Name and version of the first that is installed: `torch 2.12.0`."""
    for package in packages:
        try:
            return f"{package} {version(package)}"
        except PackageNotFoundError:
            continue
    return packages[0]
