"""Where the models of a process come from: one bundle for all its life, or those the control port is told to hold."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path

from volary.common.errors import Refused
from volary.serving import loading, model, protocol
from volary.serving.app import App
from volary.serving.joining import Batching
from volary.serving.metrics import Metrics
from volary.serving.model import Model
from volary.serving.served import Served
from volary.serving.shelf import Shelf
from volary.serving.tuning import TUNING, Tuning, room

_log = logging.getLogger(__name__)


class Single:
    """One bundle. A process that cannot load it is of no use."""

    def __init__(
        self, app: App, model_name: str, bundle: Path, revision: str, workers: Executor, threads: int, tuning: Tuning = TUNING
    ) -> None:
        """Raises Refused (LoadFailed)."""
        self._thread: threading.Thread | None = None
        self._bundle = bundle
        self._threads = threads
        self._tuning = tuning
        self._manifest = model.read_manifest(bundle)
        schema = protocol.schema(model_name, self._manifest)
        self._served = Served(schema, revision, Metrics(app.metrics, model_name, schema.version, revision), workers, room(tuning))
        app.serve(self._served)

    def start(self, fail: Callable[[Refused], None]) -> None:
        """Load beside the event loop, which calls `fail` if that cannot be.

        A daemon: a stop must not wait for a model that nobody will use.
        """
        loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._load, args=(loop, fail), name="load", daemon=True)
        self._thread.start()

    @property
    def loading(self) -> bool:
        """Whether a model is being loaded."""
        return self._thread is not None and self._thread.is_alive()

    def _load(self, loop: asyncio.AbstractEventLoop, fail: Callable[[Refused], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: a stop was asked for meanwhile
            try:
                loaded = loading.load(self._bundle, self._manifest, self._threads, self._tuning)
            except Refused as error:
                loop.call_soon_threadsafe(fail, error)
            else:
                loop.call_soon_threadsafe(self._loaded, *loaded)

    def _loaded(self, loaded: Model, batching: Batching) -> None:
        self._served.became_ready(loaded, batching)
        _log.info("serving %s %s as %s", self._manifest.name, self._manifest.version, self._served.schema.model)


class Several:
    """What the shelf holds. Nothing that is asked for later makes the process useless."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf

    def start(self, fail: Callable[[Refused], None]) -> None:
        """Begin to load what is asked for."""
        del fail
        self.shelf.start()

    @property
    def loading(self) -> bool:
        """Whether a model is being loaded."""
        return self.shelf.busy
