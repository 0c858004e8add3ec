"""Where a new version runs: `spec.update`."""

from enum import StrEnum
from typing import Protocol

from volary.api import rules
from volary.api.v1alpha1.rollout import Rollout
from volary.api.v1alpha1.runtime import Runtime, RuntimeName


class Update(StrEnum):
    """How a new version comes to pods."""

    REPLACE = "Replace"  # pods of its own
    IN_PLACE = "InPlace"  # the pods that run, beside the old version


class _Updated(Protocol):
    @property
    def update(self) -> Update: ...

    @property
    def runtime(self) -> Runtime: ...


def _served_in_place(spec: _Updated) -> bool:
    return spec.update is not Update.IN_PLACE or spec.runtime.name is RuntimeName.ONNXRUNTIME


class _Judged(Protocol):
    @property
    def update(self) -> Update: ...

    @property
    def rollout(self) -> Rollout: ...


def _asked_apart(spec: _Judged) -> bool:
    return spec.update is not Update.IN_PLACE or not spec.rollout.analysis.synthetic.enabled


NO_SYNTHETIC = rules.Rule(
    expression='self.update != "InPlace" || !has(self.rollout) || !has(self.rollout.analysis) || !has(self.rollout.analysis.synthetic)'
    " || !has(self.rollout.analysis.synthetic.enabled) || !self.rollout.analysis.synthetic.enabled",
    message="spec.update: InPlace asks the golden samples before a version gets traffic, not meanwhile: "
    "remove rollout.analysis.synthetic, or write update: Replace",
    holds=_asked_apart,
)


def _split_once(spec: _Judged) -> bool:
    return spec.update is not Update.IN_PLACE or spec.rollout.traffic is None


NO_GATEWAY = rules.Rule(
    expression='self.update != "InPlace" || !has(self.rollout) || !has(self.rollout.traffic)',
    message="spec.update: InPlace splits the requests inside the pods: remove spec.rollout.traffic and route to the Service of the model, "
    "or write update: Replace",
    holds=_split_once,
)
ONLY_ONNXRUNTIME = rules.Rule(
    expression='self.update != "InPlace" || self.runtime.name == "onnxruntime"',
    message="spec.update: InPlace needs spec.runtime.name: onnxruntime; for another runtime write update: Replace or leave it out",
    holds=_served_in_place,
)
