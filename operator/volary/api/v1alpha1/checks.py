"""Verdicts from outside: Prometheus queries, Jobs of the user's, golden samples as traffic."""

from typing import Annotated

from pydantic import Field, Strict

from volary.api import fields, rules
from volary.api.fields import Duration, Flag, Integer
from volary.api.v1alpha1.base import Spec
from volary.api.v1alpha1.runtime import Resources

Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
CheckName = Annotated[
    str,
    Field(max_length=40),
    rules.text(
        r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "write a name of lower-case letters, digits and '-' that neither begins nor ends with '-'"
    ),
]

PLACES = ("revision", "stable", "namespace", "name")
_PLACES_HINT = "of {{...}} write only " + ", ".join("{{" + place + "}}" for place in PLACES)
# A brace, then anything but a brace; or two with the name of a place between them.
_TEMPLATE = r"^([^{]|[{][^{]|[{][{](" + "|".join(PLACES) + r")[}][}])+$"
_BOUNDED = rules.Rule(
    expression="has(self.min) || has(self.max)",
    message="write max, min or both: without a threshold no value of the query would say anything",
    holds=lambda query: query.min is not None or query.max is not None,
)
_BOUNDS_IN_ORDER = rules.Rule(
    expression="!has(self.min) || !has(self.max) || self.min <= self.max",
    message="min must not be above max: no value would be between them",
    holds=lambda query: query.min is None or query.max is None or query.min <= query.max,
)


class Query(Spec):
    """A number of the operator's Prometheus and the range it must stay in."""

    name: CheckName
    """Names it in the status."""
    query: Annotated[str, Field(max_length=1024), rules.text(_TEMPLATE, _PLACES_HINT)]
    """PromQL that gives one number. {{revision}} is the canary's revision, {{stable}} the stable one's; {{namespace}}, {{name}}."""
    min: Number | None = None
    """A value below it is bad."""
    max: Number | None = None
    """A value above it is bad."""
    interval: Annotated[Duration, rules.at_least("1s", "queries[].interval must be 1s or longer, such as 30s")] = "30s"
    """How often it is asked."""
    consecutive: Annotated[Integer, rules.between(1, 100, "queries[].consecutive must be between 1 and 100 values")] = 3
    """So many bad values in a row fail the canary."""
    dry_run: Flag = False
    """Reported in the status, decides nothing."""


class Variable(Spec):
    """An environment variable with a plain value: no Secret can be read this way."""

    name: Annotated[
        str,
        Field(max_length=128),
        rules.text(r"^[A-Za-z_][A-Za-z0-9_]*$", "write the name of an environment variable: letters, digits and '_'"),
        rules.Rule(
            expression="!self.startsWith('VOLARY_')",
            message="names that begin with VOLARY_ are Volary's own; choose another",
            holds=lambda name: not name.startswith("VOLARY_"),
        ),
    ]
    """Of the variable."""
    value: Annotated[str, Field(max_length=1024)] = ""
    """As it is; nothing in it is expanded."""


Words = tuple[Annotated[str, Field(max_length=1024)], ...]


class JobTemplate(Spec):
    """What runs, under the restricted pod security standard, without access to the Kubernetes API."""

    image: fields.Image
    """Such as registry.example/team/smoke:1.2."""
    command: Annotated[Words, Field(max_length=32)] = ()
    """Absent: the image's own."""
    args: Annotated[Words, Field(max_length=32)] = ()
    """Absent: the image's own."""
    env: Annotated[tuple[Variable, ...], Field(max_length=32)] = ()
    """Beside VOLARY_CANARY_URL, VOLARY_STABLE_URL, VOLARY_MODEL, VOLARY_REVISION and VOLARY_VERSION."""
    resources: Resources = Resources()
    """Requests and limits."""
    service_account_name: fields.LocalName | None = None
    """For workload identity; its token is not mounted."""


class VerdictJob(Spec):
    """A Job whose success is needed; its failure fails the canary."""

    name: CheckName
    """Names it in the status."""
    template: JobTemplate
    """What runs."""
    at_step: Annotated[Integer, rules.between(1, 20, "jobs[].atStep must be between 1 and 20, the first step is 1")] | None = None
    """The step it runs in; the first is 1. Absent: in each."""
    timeout: Annotated[Duration, rules.at_least("1s", "jobs[].timeout must be 1s or longer, such as 5m")] = "5m"
    """A Job that has not ended by then says nothing."""
    dry_run: Flag = False
    """Reported in the status, decides nothing."""


class Synthetic(Spec):
    """Golden samples as traffic: while a canary is judged, the agents ask their servers questions with known answers."""

    enabled: Flag = False
    """A wrong answer fails the canary at once; enough right ones stand in for clients that send nothing."""
    rate: Annotated[Integer, rules.between(1, 50, "synthetic.rate must be between 1 and 50 requests a second")] = 5
    """Requests a second to each pod, one at a time."""
    dry_run: Flag = False
    """Reported in the status, decides nothing."""


def _names_differ(what: str) -> rules.Rule:
    return rules.Rule(
        expression="self.all(one, self.exists_one(other, other.name == one.name))",
        message=f"two of spec.rollout.analysis.{what} have one name; rename one",
        holds=lambda found: len({one.name for one in found}) == len(found),
    )


Queries = Annotated[tuple[Annotated[Query, _BOUNDED, _BOUNDS_IN_ORDER], ...], Field(max_length=10), _names_differ("queries")]
VerdictJobs = Annotated[tuple[VerdictJob, ...], Field(max_length=5), _names_differ("jobs")]
