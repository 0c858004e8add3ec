"""The resource as a whole."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from volary.api import fields, rules
from volary.api.v1alpha1.base import cel, rule
from volary.api.v1alpha1.spec import SPEC_RULES, ModelDeploymentSpec
from volary.api.v1alpha1.status import ModelDeploymentStatus
from volary.common import names


class Metadata(BaseModel):
    """The part of ObjectMeta Volary reads."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True)

    name: fields.ObjectName
    namespace: str = "default"
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    annotations: dict[str, str] = Field(default_factory=dict)
    deletion_timestamp: datetime | None = None


class ModelDeployment(BaseModel):
    """A model that is delivered."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        json_schema_extra=cel(rule(f"self.metadata.name.matches({rules.literal(fields.OBJECT_NAME_PATTERN)})", fields.OBJECT_NAME_HINT)),
    )

    api_version: str = names.API_VERSION
    kind: str = names.KIND
    metadata: Metadata
    spec: Annotated[ModelDeploymentSpec, *SPEC_RULES]
    status: ModelDeploymentStatus = ModelDeploymentStatus()

    @property
    def model_name(self) -> str:
        """The name in request paths."""
        return self.spec.model.name or self.metadata.name
