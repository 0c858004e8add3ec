"""What TensorFlow Serving needs beside the bundle: files that say what to load and where to count."""

from pathlib import Path

from volary.agent.fetcher import Fetched
from volary.agent.store import full_disk_named
from volary.runtimes import tensorflow_files


def configure(fetched: Fetched) -> None:
    """Write the files next to the model, each by one rename. Raises Refused (DiskFull).

    The server that reads them is started afterwards, and may be started again at any time.
    """
    base, version = fetched.path.parent, int(fetched.path.name)
    folder = base.parent / Path(tensorflow_files.DIRECTORY).name
    with full_disk_named("the server's configuration"):
        folder.mkdir(exist_ok=True, mode=0o755)
        _write(folder / tensorflow_files.MODELS, tensorflow_files.models(base.name, str(base), (version,)))
        _write(folder / tensorflow_files.MONITORING, tensorflow_files.monitoring())


def _write(path: Path, text: str) -> None:
    arriving = path.with_name(f".{path.name}")
    arriving.write_text(text, encoding="ascii")
    arriving.chmod(0o444)
    arriving.rename(path)
