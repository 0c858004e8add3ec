"""Code of the person's own, which a command line or a file names as `MODULE:FUNCTION`."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def importable(home: Path) -> Iterator[None]:
    """Modules in this directory can be imported, as beside a script."""
    place = str(home.resolve())
    sys.path.insert(0, place)
    try:
        yield
    finally:
        with suppress(ValueError):  # the module may have tidied up itself
            sys.path.remove(place)
