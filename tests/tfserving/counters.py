"""The metrics page: names begin with a colon, no series has a version."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict

BOUNDS = tuple(10 * 1.8**power for power in range(33))  # microseconds
REQUESTS = ":tensorflow:serving:request_count"
LATENCY = ":tensorflow:serving:request_latency"


class Counters:
    """Since the start of the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, str]] = Counter()
        self._latency: defaultdict[str, list[float]] = defaultdict(list)

    def add(self, model: str, status: str, microseconds: float) -> None:
        """One request to predict. Its latency is recorded only where it went well."""
        with self._lock:
            self._requests[model, status] += 1
            if status == "OK":
                self._latency[model].append(microseconds)

    def page(self) -> str:
        """Prometheus' text format."""
        with self._lock:
            lines = [f"# TYPE {REQUESTS} counter"]
            lines += [f'{REQUESTS}{{model_name="{model}",status="{status}"}} {n}' for (model, status), n in sorted(self._requests.items())]
            lines += [f"# TYPE {LATENCY} histogram"]
            for model, seen in sorted(self._latency.items()):
                own = f'model_name="{model}",API="Predict",entrypoint="REST"'
                lines += [f'{LATENCY}_bucket{{{own},le="{bound:g}"}} {sum(each <= bound for each in seen)}' for bound in BOUNDS]
                lines += [f'{LATENCY}_bucket{{{own},le="+Inf"}} {len(seen)}', f"{LATENCY}_sum{{{own}}} {sum(seen):.0f}"]
                lines += [f"{LATENCY}_count{{{own}}} {len(seen)}"]
            return "\n".join(lines) + "\n"
