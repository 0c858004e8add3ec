"""`python -m tests.gitops.testdata`: the tests that Argo CD's own repository asks for beside the scripts, out of the golden stories.

Its runner reads `health_test.yaml` and `actions/action_test.yaml`, with objects under `testdata`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.gitops import lua, told
from volary.api.v1alpha1 import Phase
from volary.common.names import GROUP, KIND
from volary.planning.requests import Verb

SCRIPTS = Path(__file__).resolve().parents[2] / "manifests" / "argocd" / "resource_customizations" / GROUP / KIND


@dataclass(frozen=True, slots=True)
class Moment:
    """One of the statuses of a phase in a story: the first, another, or (-1) the last one."""

    story: str
    phase: Phase
    place: int = 0

    @property
    def body(self) -> Mapping[str, Any]:
        found = [seen.body for seen in told.stories() if (seen.story, seen.phase) == (self.story, self.phase)]
        return found[self.place]


MOMENTS = {
    "checking": Moment("canary_in_steps", Phase.CHECKING),
    "starting": Moment("canary_in_steps", Phase.STARTING),
    "canary": Moment("canary_in_steps", Phase.CANARY),
    "promoting": Moment("canary_in_steps", Phase.PROMOTING),
    "serving": Moment("canary_in_steps", Phase.SERVING, -1),
    "serving_the_first_version": Moment("first_deploy", Phase.SERVING),
    "paused": Moment("paused_by_request", Phase.PAUSED),
    "awaiting_approval": Moment("approved_by_a_person", Phase.PAUSED),
    "rolling_back": Moment("errors_roll_back_through_a_gateway", Phase.ROLLING_BACK),
    "rolled_back": Moment("golden_mismatch", Phase.ROLLED_BACK),
    "refused": Moment("refused_by_preflight", Phase.REFUSED),
    "failed": Moment("the_first_version_fails", Phase.FAILED),
    "secret_missing": Moment("the_secret_comes_late", Phase.CHECKING, 1),
}
# What is asked, and when.
ASKED = {
    Verb.PROMOTE: "canary",
    Verb.APPROVE: "awaiting_approval",
    Verb.SKIP: "canary",
    Verb.PAUSE: "canary",
    Verb.RESUME: "paused",
    Verb.ABORT: "canary",
    Verb.RETRY: "rolled_back",
    Verb.ROLLBACK: "serving",
}


def files() -> dict[str, str]:
    """Path below the scripts -> what must stand there."""
    bodies = {name: moment.body for name, moment in MOMENTS.items()} | _by_hand()
    found = {f"testdata/{name}.yaml": _dump(body) for name, body in bodies.items()}
    found["health_test.yaml"] = _dump({"tests": [_health(name, body) for name, body in bodies.items()]})
    before = {f"actions/testdata/{name}.yaml": _dump(MOMENTS[name].body) for name in sorted({*ASKED.values(), "serving_the_first_version"})}
    after = {f"actions/testdata/{_after(verb)}": _dump(acted(verb, MOMENTS[name].body)) for verb, name in ASKED.items()}
    return (
        found
        | before
        | after
        | {"actions/action_test.yaml": _dump({"discoveryTests": list(_discovery()), "actionTests": list(_actions())})}
    )


def acted(verb: Verb, body: Mapping[str, Any]) -> Any:
    """What an action makes of an object."""
    return lua.cleaned(lua.run(lua.script(SCRIPTS / "actions" / verb / "action.lua"), body), body)


def _by_hand() -> dict[str, Mapping[str, Any]]:
    serving = MOMENTS["serving"].body
    return {
        "not_looked_at": {key: value for key, value in serving.items() if key != "status"},
        "changed_since": {**serving, "metadata": serving["metadata"] | {"generation": serving["metadata"]["generation"] + 1}},
    }


def _health(name: str, body: Mapping[str, Any]) -> dict[str, Any]:
    return {"healthStatus": lua.run(lua.script(SCRIPTS / "health.lua"), body), "inputPath": f"testdata/{name}.yaml"}


def _discovery() -> Iterator[dict[str, Any]]:
    script = lua.script(SCRIPTS / "actions" / "discovery.lua")
    for name in sorted({*ASKED.values(), "serving_the_first_version"}):
        offered = lua.run(script, MOMENTS[name].body)
        yield {"inputPath": f"testdata/{name}.yaml", "result": [{"name": verb, **offered[verb]} for verb in sorted(offered)]}


def _actions() -> Iterator[dict[str, Any]]:
    for verb, name in ASKED.items():
        yield {"action": verb.value, "inputPath": f"testdata/{name}.yaml", "expectedOutputPath": f"testdata/{_after(verb)}"}


def _after(verb: Verb) -> str:
    return f"{ASKED[verb]}_after_{verb}.yaml"


class _Plain(yaml.SafeDumper):
    """Repeats what occurs twice."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _dump(value: Any) -> str:
    return yaml.dump(value, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=120)


if __name__ == "__main__":
    for path, text in files().items():
        (SCRIPTS / path).parent.mkdir(parents=True, exist_ok=True)
        (SCRIPTS / path).write_text(text, "utf-8")
