"""`make demo`: the story on a real cluster, live in the terminal. `python -m tests.demo --help`."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from tests.cluster import ClusterError, down, leftovers
from tests.cluster.cluster import brought
from tests.cluster.progress import Console
from tests.demo import stage as stages
from tests.demo.stage import Stage
from tests.demo.story import NAME, Story
from tests.demo.view import View
from tests.demo.watching import Watch
from tests.support.kubectl import KubectlFailed

NAMESPACE = "demo"
INTERRUPTED = 130


def main() -> int:
    """The exit status: 0 told, 1 something did not happen, 130 interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tests.demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave everything up at the end")
    parser.add_argument("--plain", action="store_true", help="a line for each change instead of a live picture")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="save the most telling frame as a picture")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):  # so that they clean up as Ctrl-C does
        signal.signal(number, _interrupt)
    demo = Demo(options, time.monotonic())
    try:
        code = demo.run()
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted\n")
        code = INTERRUPTED
    except (ClusterError, KubectlFailed, AssertionError) as error:
        sys.stderr.write(f"{error}\n")
        code = 1
    finally:
        clean = options.keep or _clean_up(demo.stage)
    return code if clean else code or 1


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@dataclass
class Demo:
    """One performance."""

    options: argparse.Namespace
    began: float
    stage: Stage | None = None

    def run(self) -> int:
        """From nothing to the summary; the exit status."""
        self.stage = stages.prepare(Console())
        self.stage.namespace(NAMESPACE)
        prepared = time.monotonic() - self.began
        with Watch(self.stage.kubectl, NAMESPACE, NAME) as watch:
            story = Story(self.stage, watch)
            reason = self._tell(story)
            if reason:
                sys.stderr.write(self.stage.explain(NAMESPACE))
        print(summary(story, prepared, reason))
        if self.options.keep:
            print(_farewell(self.stage))
        return 1 if reason else 0

    def _tell(self, story: Story) -> str:
        """Why it did not happen as told; empty when it did."""
        with View(story, plain=self.options.plain or not sys.stdout.isatty()) as view:
            try:
                story.tell()
            except (AssertionError, KubectlFailed) as error:
                return str(error)
            if self.options.svg:  # a story that went wrong is no picture for a README
                view.save(self.options.svg)
        return ""


def summary(story: Story, prepared: float, reason: str = "") -> str:
    """The figures, and the verdict on the story."""
    lines = ["", f"{'seconds':>8}  what", f"{prepared:8.1f}  cluster, images, bundles, operator"]
    lines += [f"{chapter.seconds:8.1f}  {chapter.title}: {chapter.result}" for chapter in story.chapters if chapter.seconds is not None]
    lines += [f"{seconds:8.1f}  {what}" for what, seconds in story.figures.items()]
    totals = story.totals
    lines += [
        "",
        f"{totals.sent:8d}  requests sent (p50 {totals.latency_p50:.0f} ms, p99 {totals.latency_p99:.0f} ms)",
        f"{totals.failed:8d}  failed because of Volary",
        f"{totals.model_errors:8d}  bad answers of 5.0.0's own",
        *(f"          {failure}" for failure in totals.failures),
        "",
        f"NOT AS TOLD: {reason}" if reason else "everything happened as told",
    ]
    return "\n".join(lines)


def _farewell(stage: Stage) -> str:
    url = stage.url(NAMESPACE, NAME) or ""
    lines = (
        "",
        "The cluster stays up (`make demo-down` removes it). To try:",
        f"  export KUBECONFIG={stage.cluster.kubeconfig}",
        f"  {stage.kubectl.program} get md -n {NAMESPACE}",
        f"  {sys.executable} -m volary status {NAME} -n {NAMESPACE}",
        f"  curl -s {url.removesuffix('/infer')}",
    )
    return "\n".join(lines)


def _clean_up(stage: Stage | None) -> bool:
    """Whether nothing of ours is left. Once begun it is not interrupted: a half-removed cluster helps nobody."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    try:
        if brought() is not None:
            if stage is not None:
                stage.close(NAMESPACE)
            print("Your cluster keeps the operator and its definition: kubectl delete -k manifests/install removes them.")
            return True
        down(Console())
        left = leftovers()
    except (ClusterError, KubectlFailed, AssertionError) as error:
        left = [str(error)]
    for line in left:
        sys.stderr.write(f"left: {line}\n")
    return not left


if __name__ == "__main__":
    sys.exit(main())
