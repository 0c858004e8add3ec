"""`python -m monitoring --write | --check`: dashboards, their copies and the rules' in the chart, and the page of metrics."""

import argparse
import sys
from pathlib import Path

from monitoring import pages
from monitoring.fleet import FLEET
from monitoring.model import MODEL
from monitoring.operator import OPERATOR

ROOT = Path(__file__).resolve().parents[1]
RULES = ROOT / "monitoring" / "rules.yaml"
DASHBOARDS = {"fleet": FLEET, "model": MODEL, "operator": OPERATOR}
_CHART = "helm/volary/monitoring"


def generated() -> dict[str, str]:
    """Path in the repository -> what must stand there."""
    dashboards = {f"dashboards/{name}.json": dashboard.render() for name, dashboard in DASHBOARDS.items()}
    return {
        **{f"monitoring/{path}": text for path, text in dashboards.items()},
        **{f"{_CHART}/{path}": text for path, text in dashboards.items()},
        f"{_CHART}/rules.yaml": RULES.read_text("utf-8"),
        "docs/operator-metrics.md": pages.operator_metrics(),
    }


def stale(root: Path = ROOT) -> list[str]:
    """Those that are missing or differ."""
    return [path for path, text in generated().items() if not (root / path).is_file() or (root / path).read_text("utf-8") != text]


def main() -> int:
    """0, or 1 when a file is stale."""
    parser = argparse.ArgumentParser(description=__doc__)
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("--write", action="store_true", help="write what is stale")
    choice.add_argument("--check", action="store_true", help="fail when something is stale")
    wanted = generated()
    outdated = stale()
    if parser.parse_args().check:
        for path in outdated:
            sys.stderr.write(f"{path} is stale: run `make generate` and commit the result\n")
        return 1 if outdated else 0
    for path in outdated:
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(wanted[path], "utf-8")
        sys.stdout.write(f"wrote {path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
