"""`volary VERB NAME` as a user types it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.e2e.serving import Model


def volary(model: Model, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Of a model that is watched; the first argument is the verb."""
    environment = {**os.environ, "KUBECONFIG": str(model.stage.kubectl.kubeconfig)}
    verb, *rest = arguments
    command = [sys.executable, "-m", "volary", verb, model.watch.name, "--namespace", model.watch.namespace, *rest]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)


def done(model: Model, *arguments: str) -> str:
    """The same, and it must end well."""
    result = volary(model, *arguments)
    assert result.returncode == 0, f"{arguments}: {result.stderr}{result.stdout}"
    return result.stdout
