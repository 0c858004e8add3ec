"""`python -m tests.bench.rollback_odds`: how often an equal canary is rolled back, and how soon a bad one, by rule.

All rules see the same draws. First table: equal canaries over the longest time that the default
steps can last (10 % for 6 min, 50 % for 9 min, looks as the operator takes them), 10,000 a cell; Clopper-Pearson
95 % upper bounds. Second table: canaries that are worse, at a constant weight.
`--write` puts tables and a picture into docs/.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from html import escape
from itertools import product, repeat
from pathlib import Path

import numpy as np

from tests.support.canaries import TICK, Cell
from tests.support.rivals import RULES
from volary.planning import evidence
from volary.simulation import odds

DOCS = Path(__file__).parents[2] / "docs"
LONGEST = (0.1,) * 360 + (0.5,) * 540  # the default steps, each extended to three times its duration
RPS = (0.2, 2.0, 20.0, 200.0)
ERRORS = (0.0, 0.0001, 0.005, 0.05)
BURSTS = (1.0, 5.0, 20.0)
TROUBLE = ((0.0, False), (0.7, False), (0.7, True))  # noise, restarts
WATCHED = 180  # ticks: three minutes


@dataclass(frozen=True, slots=True)
class Found:
    """When each rule rolled each of the canaries back: the number of the tick, 0 for never."""

    cell: Cell
    runs: int
    when: dict[str, np.ndarray]

    def share(self, rule: str, within: int | None = None) -> float:
        """Of the canaries that were rolled back, at all or within so many ticks."""
        when = self.when[rule]
        return float(((when > 0) & (when <= (within or len(LONGEST)))).mean())

    def bound(self, rule: str) -> float:
        """The share is below this, with 95 % confidence."""
        return odds.highest(int((self.when[rule] > 0).sum()), self.runs)

    def seconds(self, rule: str, share: float) -> float:
        """Within this time so large a share was rolled back; infinite if it never was."""
        when = np.where(self.when[rule] > 0, self.when[rule] * TICK, np.inf)
        return float(np.sort(when)[int(np.ceil(share * self.runs)) - 1])


def judge(cell: Cell, weights: Sequence[float], runs: int, seed: int) -> Found:
    """All rules on the same canaries."""
    rules = {name: make(runs) for name, make in RULES.items()}
    when = {name: np.zeros(runs, np.int64) for name in RULES}
    for number, grown in enumerate(cell.ticks(weights, runs, seed), 1):
        for name, rule in rules.items():
            back = rule.look(grown)
            when[name][(when[name] == 0) & back] = number
    return Found(cell, runs, when)


def equal(runs: int, seed: int) -> Iterator[Found]:
    """Every cell of canaries that are as good as stable; a processor each cell, for one takes seconds."""
    cells = [
        Cell(rps=rps, errors=errors, canary_errors=errors, burst=burst, noise=noise, restarts=restarts)
        for rps, errors, burst, (noise, restarts) in product(RPS, ERRORS, BURSTS, TROUBLE)
    ]
    with ProcessPoolExecutor() as processors:
        yield from processors.map(judge, cells, repeat(LONGEST), repeat(runs), range(seed, seed + len(cells)))


BAD = (  # stable's errors, the canary's
    (0.005, 0.5),
    (0.0001, 0.5),
    (0.05, 0.5),
    (0.005, 0.2),
    (0.005, 0.05),
    (0.0001, 0.001),
    (0.0, 0.01),
    (0.005, 0.04),
    (0.005, 0.02),
)


def worse(runs: int, seed: int) -> Iterator[tuple[float, Found]]:
    """Canaries that should be found, at three weights."""
    for index, (rps, (errors, canary), weight) in enumerate(product((2.0, 20.0, 200.0), BAD, (0.1, 0.25, 0.5))):
        yield weight, judge(Cell(rps=rps, errors=errors, canary_errors=canary), (weight,) * WATCHED, runs, seed + 1000 + index)


# ---- tables -----------------------------------------------------------------------------------------


def equal_table(found: Sequence[Found]) -> Iterator[str]:
    """In each cell the upper bound; last the worst one."""
    yield f"| rps | errors | burst | trouble | {' | '.join(RULES)} |"
    yield f"|{'---:|' * 3}---|{'---:|' * len(RULES)}"
    for each in found:
        cell = each.cell
        trouble = "noise and restarts" if cell.restarts else "noise" if cell.noise else "none"
        bounds = " | ".join(f"{100 * each.bound(rule):.2f} %" for rule in RULES)
        yield f"| {cell.rps:g} | {100 * cell.errors:g} % | {cell.burst:g} | {trouble} | {bounds} |"
    yield f"| | | | **worst** | {' | '.join(f'**{100 * max(each.bound(rule) for each in found):.2f} %**' for rule in RULES)} |"


def worse_table(found: Sequence[tuple[float, Found]]) -> Iterator[str]:
    """Seconds until half and until 99 % were rolled back; the share within three minutes where 99 % never are."""
    yield f"| rps | errors, stable -> canary | weight | {' | '.join(RULES)} |"
    yield f"|---:|---|---:|{'---:|' * len(RULES)}"
    for weight, each in found:
        cell = each.cell
        rates = f"{100 * cell.errors:g} % -> {100 * cell.canary_errors:g} %"
        yield f"| {cell.rps:g} | {rates} | {100 * weight:g} % | {' | '.join(_times(each, rule) for rule in RULES)} |"


def _times(found: Found, rule: str) -> str:
    half, most = found.seconds(rule, 0.5), found.seconds(rule, 0.99)
    if np.isfinite(most):
        return f"{half:g} / {most:g} s"
    return f"{100 * found.share(rule):.1f} %"


def picture(found: Sequence[Found]) -> str:
    """The share of equal canaries that each rule rolls back, a dot a cell, on a logarithmic axis."""
    left, room, row, top = 190, 480, 34, 16
    low, high = 1e-4, 1.0

    def x(share: float) -> float:
        return left + room * float(np.log(max(share, low) / low) / np.log(high / low))

    parts = []
    bottom = top + row * len(RULES)
    for share, label in ((1e-4, "0.01 % or less"), (1e-3, "0.1 %"), (1e-2, "1 %"), (1e-1, "10 %"), (1.0, "100 %")):
        kind = "limit" if share == 1e-2 else "grid"
        parts.append(f'<line x1="{x(share):.1f}" x2="{x(share):.1f}" y1="{top}" y2="{bottom}" class="{kind}"/>')
        parts.append(f'<text x="{x(share):.1f}" y="{bottom + 18}" text-anchor="middle">{label}</text>')
    for index, rule in enumerate(RULES):
        y = top + row * (index + 0.5)
        kind = "ours" if rule.startswith("Volary") else "theirs"
        parts.append(f'<text x="{left - 14}" y="{y + 4:.1f}" text-anchor="end">{escape(rule)}</text>')
        for number, each in enumerate(found):
            jitter = (number * 7 % 11 - 5) * 1.6
            parts.append(f'<circle cx="{x(each.share(rule)):.1f}" cy="{y + jitter:.1f}" r="2.4" class="{kind}"/>')
    style = (
        "text{font:13px system-ui,sans-serif;fill:#1d2430}.grid{stroke:#d9dee5}.limit{stroke:#b42318;stroke-dasharray:4 3}"
        ".ours{fill:#0f766e;fill-opacity:.55}.theirs{fill:#8a94a3;fill-opacity:.6}rect{fill:#fff}"
    )
    title = "Share of equal canaries that are rolled back, by rule; a dot is one kind of traffic"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 740 {bottom + 56}" role="img" aria-label="{title}"><style>{style}</style>'
        f'<rect width="740" height="{bottom + 56}"/>{"".join(parts)}<text x="{left}" y="{bottom + 44}">{title}</text></svg>\n'
    )


PAGE = """# Odds of a rollback

Made by `make bench-odds`: {runs:,} simulated canaries in each cell, all rules on the same draws. The rivals' rules are written from their
documentation and tuned as in many examples: a strike is more than 5 % errors in 30 s; Argo Rollouts rolls back at the first one
(`failureLimit: 0`) or at the fourth (`failureLimit: 3`), Flagger at the fifth; the z-test compares at 1 % at each look.

## An equal canary is rolled back

95 % upper bounds (Clopper-Pearson), over the longest time that the default steps can last: 10 % for 6 min, then 50 % for 9 min. Volary
looks as its operator does with an `interval` of 5 s: each second in the canary's first five and while something speaks against it.
*Burst*: errors come in clusters of that mean size inside one second. *Noise*: both versions' error rate is multiplied by a
lognormal factor (sigma 0.7), drawn anew for each second. *Restarts*: in one second of twelve only a part of a side is counted.

![Share of equal canaries that are rolled back](rollback-odds.svg)

{equal}

Bursts that last longer than a second are several votes: choose an `interval` of five times as long as they last.

## A worse canary is rolled back

Seconds from its first request until half / until 99 % of such canaries are given up, at one weight all the time. A
percentage alone: the share within three minutes, where that is below 99 %.

{worse}

What this says:

* Volary rolls back at most one equal canary in a hundred, whatever the traffic, and counts each look as one vote. So a proof takes a number
  of looks, however many requests fail: 50 % errors at 20 rps are proved in 25 s at 10 % weight, 30 s at 25 %, 65 s at 50 % (99 % of the
  canaries, a look each 5 s). An error that hits 10 % of the requests proves more than one that hits half of them: begin with a small
  weight. A shorter `interval` shortens it in proportion, as long as bursts of errors are shorter still.
* Ten times the errors, 0.5 % to 5 %: within 75 s at 200 rps at any weight; at 20 rps within 145 s from 25 % weight on, and 95 % of them
  within three minutes at 10 %; at 2 rps hardly in three minutes. 0.01 % to 0.1 % is not proved in three minutes even at 200 rps: few errors
  prove little by any honest rule. Where traffic is thin, give steps more time.
* `maxRate` looks at the canary alone, one vote a look as well: bursts and bad moments inside a look do not roll an equal canary back whose
  rate is below it. It finds a very bad canary sooner where the weight is high: 50 % errors at 50 % weight within 25 s in place of 65 s at
  20 rps, within 60 s in place of 90 s at 2 rps. At 10 % weight it gains little or nothing. It takes half of the error budget, so a canary
  that is worse than stable but stays below `maxRate` is found later: 0.5 % to 2 % at 200 rps and 10 % weight within 160 s in place of
  145 s. Bad minutes are many looks: set it above what they bring.
* A threshold is right for one error rate: below it nothing is found, near it equal canaries are rolled back.
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.rollback_odds", description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000, help="canaries in a cell (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="into docs/")
    parser.add_argument("--check", action="store_true", help="fail if 1 %% of the equal canaries of any cell may be rolled back")
    args = parser.parse_args()
    began = time.perf_counter()
    good = []
    for each in equal(args.runs, args.seed):
        good.append(each)
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{len(good)} cells, {time.perf_counter() - began:.0f} s ")
    bad = list(worse(max(200, args.runs // 5), args.seed))
    sys.stderr.write(f"\r{len(good) + len(bad)} cells, {time.perf_counter() - began:.0f} s\n")
    tables = {"equal": "\n".join(equal_table(good)), "worse": "\n".join(worse_table(bad))}
    print(tables["equal"], tables["worse"], sep="\n\n")
    worst = max(each.bound(rule) for each in good for rule in RULES if rule.startswith("Volary"))
    if args.check and worst >= evidence.ALPHA:
        sys.exit(f"an equal canary may be rolled back in {worst:.2%} of the rollouts")
    if args.write:
        (DOCS / "rollback-odds.md").write_text(PAGE.format(runs=args.runs, **tables), "utf-8")
        (DOCS / "rollback-odds.svg").write_text(picture(good), "utf-8")


if __name__ == "__main__":
    main()
