"""HTTPRoutes as bodies, and back: Volary's own as a whole, a user's as a list of rules with other weights.

    HTTPRoute NAME                  owned by the ModelDeployment
    +-- rule  header = canary ...   backendRef NAME-REVISION of the canary        (with traffic.header)
    +-- rule  everything else       backendRefs NAME-REVISION with their weights  (and a RequestMirror)

In a user's route the backendRef to the Service NAME stands for whatever that Service selects; a
canary gets a backendRef of its own beside it, with a part of its weight.
"""

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

from volary.api.v1alpha1 import GatewayTraffic, Traffic
from volary.common.errors import Refused
from volary.common.names import SERVICE_PORT
from volary.common.reasons import Reason
from volary.planning import resources
from volary.planning.model import Desired, Revision
from volary.planning.weighted import Routed, Shadow, Share, Weighted
from volary.runtimes.runtime import Body

API_VERSION = "gateway.networking.k8s.io/v1"
_CANARY = "canary"  # value of the header that reaches whatever is the canary
_WHOLE = 100


# ---- Volary's own -----------------------------------------------------------------------------


def own(desired: Desired, to: Weighted, revisions: Iterable[Revision]) -> Body:
    """The whole HTTPRoute, with what the API server would fill in, so that it can be compared with what is there."""
    traffic, gateway = _asked(desired)
    known = {revision.id: revision for revision in revisions}
    rules = [_named_rule(desired, traffic, gateway, known[to.named])] if to.named in known and to.named else []
    spec: Body = {
        "parentRefs": [_parent(ref.name, ref.section_name) for ref in gateway.parent_refs],
        "rules": [*rules, _shared_rule(desired, gateway, to)],
    }
    if gateway.hostnames:
        spec["hostnames"] = list(gateway.hostnames)
    return {
        "apiVersion": API_VERSION,
        "kind": "HTTPRoute",
        "metadata": resources.metadata(desired, desired.name, {}),
        "spec": spec,
    }


def own_from(desired: Desired, body: Body, revisions: Sequence[Revision]) -> Routed:
    """What the route says, and whether it says anything else than it should."""
    rules = _rules(body)
    last = rules[-1] if rules else {}
    shares = tuple(Share(_revision(desired, ref), _weight(ref)) for ref in _refs(last))
    named = next((_revision(desired, ref) for rule in rules[:-1] for ref in _refs(rule)), None)
    to = Weighted(
        shares=shares, named=named, shadow=_shadow(desired, last), session=(last.get("sessionPersistence") or {}).get("sessionName")
    )
    should = own(desired, to, revisions)
    intact = _covers(body.get("spec"), should["spec"]) and not (rules[:-1] and named is None)
    return _judged(body, Routed(to=to, intact=intact), ("Accepted", "ResolvedRefs"))


def _asked(desired: Desired) -> tuple[Traffic, GatewayTraffic]:
    traffic = desired.spec.rollout.traffic
    assert traffic is not None  # noqa: S101 -- only asked where the spec has it
    assert traffic.gateway is not None  # noqa: S101 -- only asked where the spec has it
    return traffic, traffic.gateway


def _parent(name: str, section: str | None) -> Body:
    return {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": name} | ({"sectionName": section} if section else {})


def _path(gateway: GatewayTraffic) -> Body:
    return {"path": {"type": "PathPrefix", "value": gateway.path}}


def _named_rule(desired: Desired, traffic: Traffic, gateway: GatewayTraffic, canary: Revision) -> Body:
    """Stands first for people; a gateway prefers it anyway, since it has more matches."""
    name = traffic.header.name if traffic.header else ""
    values = dict.fromkeys((_CANARY, canary.id, canary.version))
    matches = [_path(gateway) | {"headers": [{"type": "Exact", "name": name, "value": value}]} for value in values]
    return {"matches": matches, "backendRefs": [_ref(desired, canary.id, 1)]}


def _shared_rule(desired: Desired, gateway: GatewayTraffic, to: Weighted) -> Body:
    rule: Body = {"matches": [_path(gateway)], "backendRefs": [_ref(desired, share.revision, share.weight) for share in to.shares]}
    if to.shadow is not None:
        backend = {key: value for key, value in _ref(desired, to.shadow.revision, 0).items() if key != "weight"}
        rule["filters"] = [{"type": "RequestMirror", "requestMirror": {"backendRef": backend, "percent": to.shadow.percent}}]
    if to.session is not None:
        rule["sessionPersistence"] = {"type": "Header", "sessionName": to.session}
    return rule


def _ref(desired: Desired, revision: str, weight: int) -> Body:
    name = resources.revision_name(desired.name, revision)
    return {"group": "", "kind": "Service", "name": name, "port": SERVICE_PORT, "weight": weight}


def _revision(desired: Desired, ref: Mapping[str, Any]) -> str:
    """Of a backendRef; the name of a Service that is none of a revision's is no revision's name."""
    return str(ref.get("name", "")).removeprefix(f"{desired.name}-")


def _shadow(desired: Desired, rule: Body) -> Shadow | None:
    for one in rule.get("filters") or ():
        mirror = one.get("requestMirror")
        if mirror:
            return Shadow(_revision(desired, mirror.get("backendRef") or {}), int(mirror.get("percent", _WHOLE)))
    return None


def _covers(live: Any, wanted: Any) -> bool:
    """Whether all that is wanted is there; a later version of the kind may have filled in more."""
    if isinstance(wanted, dict):
        return isinstance(live, dict) and all(_covers(live.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(live, list) and len(live) == len(wanted) and all(map(_covers, live, wanted))
    return bool(live == wanted)


# ---- a user's ---------------------------------------------------------------------------------


def users_from(desired: Desired, body: Body, serving: str) -> Routed:
    """What a user's route says; `serving` is the revision the Service NAME selects. Raises Refused."""
    rule = _rules(body)[_index(desired, body)]
    shares = [Share(serving, 0)]
    for ref in _refs(rule):
        if _is_model(desired, ref):
            shares.append(Share(serving, _weight(ref)))
        elif _is_revision(desired, ref):
            shares.append(Share(_revision(desired, ref), _weight(ref)))
    to = Weighted(shares=_in_percent(shares))
    found = _judged(body, Routed(to=to), ("Accepted",))  # a Service of another rule may be missing
    try:
        _whole(desired, _refs(rule), exact=True)
    except Refused as refused:  # no canary; weight that one has may still go back to stable
        found = replace(found, problem=refused.message, reason=refused.reason)
        if len(to.shares) > 1:
            return found
    return replace(found, intact=reweighed(desired, body, to, serving) == body["spec"]["rules"])


def reweighed(desired: Desired, body: Body, to: Weighted, serving: str) -> list[Body]:
    """The rules of a user's route with these weights; all else is as it was. Raises Refused."""
    rules = deepcopy(body["spec"]["rules"])
    rule = rules[_index(desired, body)]
    refs = _refs(rule)
    whole = _whole(desired, refs, exact=len(to.shares) > 1)
    parts = {share.revision: share.weight * whole // _WHOLE for share in to.shares}
    rest = {revision: weight for revision, weight in parts.items() if revision != serving}
    kept: list[Body] = []
    for ref in refs:
        if _is_model(desired, ref):
            alone = not rest and _weight(ref) > 0 and not any(_is_revision(desired, other) for other in refs)
            kept.append(ref if alone else {**ref, "weight": parts.get(serving, 0)})
            kept += [{**_ref(desired, revision, weight), "port": ref.get("port", SERVICE_PORT)} for revision, weight in rest.items()]
        elif not _is_revision(desired, ref):
            kept.append(ref)
    rule["backendRefs"] = kept
    return list(rules)


def released(desired: Desired, body: Body) -> list[Body]:
    """The rules of a user's route without the canary's backendRefs; the model's Service gets their weight back."""
    rules = deepcopy(_rules(body))
    for rule in rules:
        refs = _refs(rule)
        if any(_is_revision(desired, ref) for ref in refs):
            whole = sum(_weight(ref) for ref in refs if _is_model(desired, ref) or _is_revision(desired, ref))
            rest = [ref for ref in refs if not _is_revision(desired, ref)]
            rule["backendRefs"] = [{**ref, "weight": whole} if _is_model(desired, ref) else ref for ref in rest]
    return rules


def _in_percent(shares: Iterable[Share]) -> tuple[Share, ...]:
    """One share a revision, zero shares left out."""
    both = Weighted(shares=tuple(shares))
    revisions = dict.fromkeys(share.revision for share in both.shares)
    parts = (Share(revision, both.percent(revision)) for revision in revisions)
    return tuple(part for part in parts if part.weight > 0)


def _index(desired: Desired, body: Body) -> int:
    """The rule with our backendRef."""
    asked = desired.spec.rollout.traffic
    route = asked.http_route if asked else None
    named = route.rule if route else None
    found = [
        index
        for index, rule in enumerate(_rules(body))
        if (named is None or rule.get("name") == named) and any(_is_model(desired, ref) for ref in _refs(rule))
    ]
    name = body["metadata"]["name"]
    if not found:
        where = f"rule {named} of HTTPRoute {name}" if named else f"HTTPRoute {name}"
        raise Refused(Reason.ROUTE_UNUSABLE, f"{where} has no backendRef to the Service {desired.name}: add one with port {SERVICE_PORT}")
    if len(found) > 1:
        text = f"{len(found)} rules of HTTPRoute {name} have a backendRef to the Service {desired.name}"
        raise Refused(Reason.ROUTE_UNUSABLE, f"{text}: name one rule in spec.rollout.traffic.httpRoute.rule")
    return found[0]


def _whole(desired: Desired, refs: Sequence[Body], *, exact: bool) -> int:
    """What the model's backendRefs have together: 100 where they are alone, else a multiple of 100, so that percents are `exact`."""
    total = sum(_weight(ref) for ref in refs if _is_model(desired, ref) or _is_revision(desired, ref))
    alone = all(_is_model(desired, ref) or _is_revision(desired, ref) for ref in refs)
    if total > 0 and total % _WHOLE == 0:
        return total
    if alone:
        return _WHOLE
    if not exact:
        return total
    text = f"the backendRef to the Service {desired.name} has weight {total} beside others"
    raise Refused(Reason.ROUTE_UNUSABLE, f"{text}: give it a multiple of 100 and the others as much more, so that percents of it are exact")


def _is_model(desired: Desired, ref: Mapping[str, Any]) -> bool:
    return _is_service(ref) and ref.get("name") == desired.name


def _is_revision(desired: Desired, ref: Mapping[str, Any]) -> bool:
    """Ten hexadecimal digits after the name: what Volary's own Services of revisions are called."""
    head, _, tail = str(ref.get("name", "")).rpartition("-")
    return _is_service(ref) and head == desired.name and len(tail) == 10 and set(tail) <= set("0123456789abcdef")


def _is_service(ref: Mapping[str, Any]) -> bool:
    return ref.get("kind", "Service") == "Service" and not ref.get("group") and not ref.get("namespace")


# ---- both -------------------------------------------------------------------------------------


def _rules(body: Body) -> list[Body]:
    return list(body.get("spec", {}).get("rules") or ())


def _refs(rule: Body) -> list[Body]:
    return list(rule.get("backendRefs") or ())


def _weight(ref: Mapping[str, Any]) -> int:
    return int(ref.get("weight", 1))


def _judged(body: Body, route: Routed, kinds: Sequence[str]) -> Routed:
    """With what the gateways say of it: each parent has its own word."""
    generation = body["metadata"].get("generation", 0)
    parents = body.get("status", {}).get("parents") or ()
    wanted = body.get("spec", {}).get("parentRefs") or ()
    heard = [_word(ref, parents) for ref in wanted]
    problems = [problem for problem in (_trouble(ref, word, kinds) for ref, word in zip(wanted, heard, strict=True)) if problem]
    current = all(one.get("observedGeneration", generation) >= generation for word in heard for one in word.values())
    return replace(route, current=current and bool(heard) and all(heard), problem="; ".join(problems) or None)


def _word(ref: Body, parents: Iterable[Body]) -> dict[str, Body]:
    """Conditions by type, of the parent status that speaks of this reference."""
    keys = ("name", "sectionName", "port")
    for parent in parents:
        if all((parent.get("parentRef") or {}).get(key) == ref.get(key) for key in keys):
            return {condition["type"]: condition for condition in parent.get("conditions") or ()}
    return {}


def _trouble(ref: Body, word: Mapping[str, Body], kinds: Iterable[str]) -> str | None:
    for kind in kinds:
        condition = word.get(kind)
        if condition is None:
            return f"Gateway {ref.get('name')} has not said yet whether it serves the HTTPRoute: is it there, and does it take routes?"
        if condition.get("status") != "True":
            said = condition.get("message") or condition.get("reason") or "no reason given"
            return f"Gateway {ref.get('name')}: {kind} is {condition.get('status')}: {said}"
    return None
