"""What a swap of versions in a running pod costs its clients, and how soon it is in effect.

    python -m tests.bench.swap [--mib 48] [--head 4] [--swaps 50]

A real server, a real agent, a real SeaweedFS on one machine. Steady and swapping take turns in one
run, so that whatever else the machine does hits both alike. Beside it: a new process that loads the
same version, which is the least that a new pod costs (no scheduling, no image, no fetch).
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.support import s3
from tests.unit.agent import pod, versions
from tests.unit.agent.load import Load
from tests.unit.agent.pod import Pod
from tests.unit.serving.process import running as process
from tests.unit.serving.process import until
from volary.bundle import limits
from volary.bundle.split import Share

WARM_UP = 2  # swaps that are not counted
CLIENTS, PAUSE = 4, 0.004  # 600 to 800 requests a second


@dataclass
class Seen:
    """Seconds."""

    steady: list[float] = field(default_factory=list)  # of requests
    swapping: list[float] = field(default_factory=list)
    effect: list[float] = field(default_factory=list)  # from the change of the file to exact shares
    process: list[float] = field(default_factory=list)  # from the start of a process to its first readiness


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=48, help="of the large model")
    parser.add_argument("--head", type=int, default=4, help="MiB of it that differ between two versions")
    parser.add_argument("--swaps", type=int, default=50)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="volary-bench-") as name, s3.serve(Path(name) / "s3") as storage:
        os.environ.update(storage.environment() | {"NO_PROXY": "*", "AWS_EC2_METADATA_DISABLED": "true"})
        for title, mib, head in (("small model", 0, 0), (f"model of {args.mib} MiB", args.mib, args.head)):
            measure(Path(name) / title.replace(" ", "-"), storage, title, mib, head, args.swaps)


def measure(path: Path, storage: s3.S3, title: str, mib: int, head: int, swaps: int) -> None:
    """Swap between two versions again and again, under load."""
    path.mkdir()
    uri = f"s3://{storage.bucket()}/fraud"
    made = [pod.push(path / version, factor, version, storage, uri, padding=mib, head=head) for version, factor in (("1", 2), ("2", 3))]
    shares = [versions.share(version, digest, 100, uri) for version, (digest, _) in zip("12", made, strict=True)]
    seen, resident = Seen(), dict[int, int]()
    with pod.running(path / "pod", storage) as running:
        running.apply(shares[0])
        with Load(running.server.port, CLIENTS, PAUSE) as load:
            for number in range(swaps + WARM_UP):
                swap(running, load, shares[(number + 1) % 2], shares[number % 2], seen, counted=number >= WARM_UP)
                resident[number + 1] = running.server.resident
        if load.failures:
            raise SystemExit(f"{len(load.failures)} requests failed: {load.failures[:3]}")
        moved, size = running.fetched("r2")["downloaded"], made[1][1]
    for _ in range(5):
        seen.process.append(start(path / "1"))
    report(title, seen, sum(load.answers.values()))
    line("resident memory of the server", f"after {WARM_UP} swaps", f"after {max(resident)}", "ratio")
    first, last = resident[WARM_UP] / limits.MIB, resident[max(resident)] / limits.MIB
    line("", f"{first:.0f} MiB", f"{last:.0f} MiB", f"{last / first:.2f}")
    if head:
        say(f"a new head: {limits.show(moved)} of {limits.show(size)} moved, {moved / (head * limits.MIB):.2f} x the head")


def swap(running: Pod, load: Load, new: Share, old: Share, seen: Seen, *, counted: bool) -> None:
    """As a rollout does: loaded and proved without a share, then all of it. Then as long again nothing."""
    began = time.monotonic()
    running.apply(old, Share(new.revision, new.version, new.digest, new.uri, 0))
    running.apply(new)
    ended = time.monotonic()
    until(lambda: time.monotonic() > ended + (ended - began))
    if not counted:
        return
    seen.effect.append(ended - began)
    for at, seconds in list(load.latencies):
        if began <= at < ended:
            seen.swapping.append(seconds)
        elif ended <= at:
            seen.steady.append(seconds)
    load.latencies.clear()


def start(bundle: Path) -> float:
    """A process from its start until it is ready."""
    began = time.monotonic()
    with process(bundle) as server:
        server.wait_for("/v2/health/ready", 200)
        return time.monotonic() - began


def report(title: str, seen: Seen, requests: int) -> None:
    say(f"\n{title}: {len(seen.effect)} swaps, {requests} requests, 0 failed")
    line("latency of requests, ms", "steady", "in a swap", "ratio")
    for name, share in (("median", 0.5), ("99 %", 0.99)):
        steady, swapping = (1000 * percentile(each, share) for each in (seen.steady, seen.swapping))
        line(name, f"{steady:.2f}", f"{swapping:.2f}", f"{swapping / steady:.2f}")
    line("to effect, s", "a new process", "in place", "ratio")
    fresh, effect = statistics.median(seen.process), statistics.median(seen.effect)
    line("median", f"{fresh:.2f}", f"{effect:.2f}", f"{effect / fresh:.2f}")
    line("longest", f"{max(seen.process):.2f}", f"{max(seen.effect):.2f}", f"{max(seen.effect) / max(seen.process):.2f}")


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def line(*words: str) -> None:
    say(f"{words[0]:32}" + "".join(f"{word:>18}" for word in words[1:]))


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
