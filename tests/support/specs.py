"""Random ModelDeployments, good or with a fault somewhere."""

from __future__ import annotations

import string
from typing import Any

from hypothesis import strategies as st

from volary.api.v1alpha1 import OnInconclusive, RuntimeName
from volary.common import names

_WORD = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=12)
_NAME = st.builds(lambda first, rest: first + rest, st.sampled_from(string.ascii_lowercase), _WORD)
_DURATION = st.builds(
    lambda hours, minutes, seconds: f"{hours}h{minutes}m{seconds}s", st.integers(0, 99), st.integers(0, 999), st.integers(5, 9999)
)
_SHA = st.text("0123456789abcdef", min_size=64, max_size=64).map(lambda digits: f"sha256:{digits}")
_PERCENT = st.integers(0, 10_000).map(lambda hundredths: f"{hundredths / 100:.2f}%".replace("100.00%", "100%"))
_QUANTITY = st.builds(lambda number, unit: f"{number}{unit}", st.integers(0, 4096), st.sampled_from(["", "m", "k", "Mi", "Gi"]))
_MAP = st.dictionaries(st.sampled_from(["cpu", "memory", "nvidia.com/gpu"]), _QUANTITY | st.integers(0, 64))
# What people write by mistake, in any place.
_FAULT = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2000),
    st.sampled_from([1.5, 3.0, "", "3", "0s", "1m", "5%", "s3://x", "a/b", "Extend", "yes", " ", "1m\n", "é"]),
    st.sampled_from([[], {}, [1], [None], {"weight": 5}, [{"weight": 5}]]),
)


def _some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Any of these fields."""
    return st.fixed_dictionaries({}, optional=fields)


def _steps() -> st.SearchStrategy[list[dict[str, Any]]]:
    own = _some(minRequests=st.integers(0, 1_000_000_000), interval=_DURATION, errors=_some(maxRate=st.just("100%")))
    step = _some(duration=_DURATION, approval=st.booleans(), analysis=own)

    def build(weights: list[int], rest: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"weight": weight, **rest} for weight in sorted(weights)]

    return st.builds(build, st.lists(st.integers(1, 100), unique=True, max_size=20), step)


def _rest(analysis: st.SearchStrategy[dict[str, Any]]) -> dict[str, st.SearchStrategy[Any]]:
    flags = {"paused": st.booleans(), "approval": st.booleans()}
    return {"analysis": analysis, "progressDeadline": _DURATION, "minReadySeconds": st.integers(0, 3600), **flags}


def _rollout(analysis: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    rest = _rest(analysis)
    return st.one_of(
        _some(steps=_steps(), scaleDownDelay=_DURATION, strategy=st.just("Canary"), **rest),
        st.fixed_dictionaries({"strategy": st.just("BlueGreen"), "steps": st.just([])}, optional={"scaleDownDelay": _DURATION, **rest}),
    )


def _limited(analysis: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return _some(steps=_steps(), surge=st.integers(0, 1000), **_rest(analysis))


def specs() -> st.SearchStrategy[dict[str, Any]]:
    """Good ones, with any of the optional fields."""
    storage = _some(
        secretName=_NAME,
        endpoint=_NAME.map(lambda host: f"http://{host}.storage:9000"),
        region=_WORD,
        serviceAccountName=_NAME,
    )
    model = st.fixed_dictionaries(
        {"uri": _NAME.map(lambda name: f"s3://models/{name}"), "version": _WORD},
        optional={"digest": _SHA, "name": _NAME, "storage": storage},
    )
    runtime = st.fixed_dictionaries(
        {"name": st.sampled_from([str(name) for name in RuntimeName])},
        optional={"image": _NAME, "resources": _some(requests=_MAP, limits=_MAP), "podTemplate": _template()},
    )
    analysis = _some(
        errors=_some(tolerance=_PERCENT, maxRate=st.just("100%")),
        minRequests=st.integers(0, 1_000_000_000),
        interval=_DURATION,
        onInconclusive=st.sampled_from([str(word) for word in OnInconclusive]),
    )
    common = {"history": st.integers(1, 50), "disruptionBudget": _budget()}
    free, limited = {"rollout": _rollout(analysis), **common}, {"rollout": _limited(analysis), **common}
    return st.one_of(
        st.fixed_dictionaries({"model": model, "runtime": runtime}, optional={"replicas": st.integers(1, 1000), **free}),
        st.fixed_dictionaries({"model": model, "runtime": runtime, "replicas": st.integers(1, 1000)}, optional=limited),
        st.fixed_dictionaries({"model": model, "runtime": runtime, "autoscaling": _autoscaling()}, optional=free),
    )


def _template() -> st.SearchStrategy[dict[str, Any]]:
    labels = st.dictionaries(_NAME, _WORD, max_size=3)
    return _some(
        labels=labels,
        annotations=st.dictionaries(_NAME, st.text(max_size=20), max_size=3),
        nodeSelector=labels,
        tolerations=st.lists(_some(key=_NAME, value=_WORD, operator=st.sampled_from(["Exists", "Equal"])), max_size=3),
        topologySpread=st.lists(st.fixed_dictionaries({"topologyKey": _NAME}, optional={"maxSkew": st.integers(1, 9)}), max_size=2),
        priorityClassName=_NAME,
        imagePullSecrets=st.lists(_NAME, max_size=2),
    )


def _autoscaling() -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"maxReplicas": st.integers(10, 1000), "requestsPerSecond": st.integers(1, 1000)}, optional={"minReplicas": st.integers(1, 10)}
    )


def _budget() -> st.SearchStrategy[dict[str, Any]]:
    amount = st.integers(0, 100) | st.integers(0, 100).map(lambda share: f"{share}%")
    return st.builds(lambda key, value: {key: value}, st.sampled_from(["minAvailable", "maxUnavailable"]), amount)


@st.composite
def documents(draw: st.DrawFn, *, broken: bool = False) -> dict[str, Any]:
    """Whole documents; when `broken`, with something else in one place (which may be good by chance)."""
    spec = draw(specs())
    if broken:
        place: Any = spec
        while True:
            key = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else list(range(len(place)))))
            inner = place[key]
            if not inner or not isinstance(inner, (dict, list)) or draw(st.integers(0, 5)) == 0:
                break
            place = inner
        place[key] = draw(_FAULT)
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"name": draw(_NAME), "namespace": "default"},
        "spec": spec,
    }
