"""A Job that judges a canary, as a Kubernetes object."""

from volary.api.v1alpha1 import duration
from volary.common.names import (
    CHECK_CONTAINER,
    CHECK_LABEL,
    COMPONENT_LABEL,
    MANAGED_BY_LABEL,
    MODEL_LABEL,
    RECIPE_LABEL,
    REVISION_LABEL,
    STEP_LABEL,
)
from volary.planning import jobs, pods
from volary.planning.labels import CHECK
from volary.planning.model import Desired
from volary.planning.outside import Visit
from volary.planning.resources import metadata, revision_name
from volary.runtimes.runtime import Body


def check_job(desired: Desired, visit: Visit) -> Body:
    """One try, so that its first word counts. Its pod has no revision label: no Service ever selects it."""
    job, template = visit.job, visit.job.template
    labels = {CHECK_LABEL: job.name, STEP_LABEL: str(visit.step), RECIPE_LABEL: jobs.recipe(job), REVISION_LABEL: visit.revision}
    own = {MODEL_LABEL: desired.name, MANAGED_BY_LABEL: "volary", COMPONENT_LABEL: CHECK, CHECK_LABEL: job.name}
    container = {
        "name": CHECK_CONTAINER,
        "image": template.image,
        "env": [*_told(desired, visit), *(variable.model_dump() for variable in template.env)],
        "resources": pods.resources(template.resources),
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    words = {"command": list(template.command), "args": list(template.args)}
    container |= {key: value for key, value in words.items() if value}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata(desired, jobs.object_name(desired.name, visit.revision, visit.step, job.name), labels),
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": int(duration(job.timeout).total_seconds()),
            "template": pods.visitor_template(desired, own, template.service_account_name, container),
        },
    }


def _told(desired: Desired, visit: Visit) -> list[Body]:
    """Both revisions by their own Services, whatever share of the traffic they have."""
    values = {
        "VOLARY_CANARY_URL": f"http://{revision_name(desired.name, visit.revision)}",
        "VOLARY_STABLE_URL": f"http://{revision_name(desired.name, visit.stable)}",
        "VOLARY_MODEL": desired.model_name,
        "VOLARY_REVISION": visit.revision,
        "VOLARY_VERSION": visit.version,
    }
    return [{"name": name, "value": value} for name, value in values.items()]
