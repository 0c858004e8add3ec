"""Which bundle to serve: `spec.model`."""

from enum import StrEnum

from volary.api import fields
from volary.api.v1alpha1.base import Spec


class Addressing(StrEnum):
    """Where a request names the bucket."""

    PATH = "Path"
    VIRTUAL_HOST = "VirtualHost"


class Storage(Spec):
    """How the S3-compatible storage is reached. Without it: the pod's own cloud identity."""

    secret_name: fields.LocalName | None = None
    """Secret in the same namespace with the keys AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, if temporary, AWS_SESSION_TOKEN."""
    endpoint: fields.Endpoint | None = None
    """URL of an S3-compatible server, such as https://minio.storage:9000. Absent: AWS."""
    region: fields.Region | None = None
    """Region of the bucket; us-east-1 where the server does not care."""
    service_account_name: fields.LocalName | None = None
    """ServiceAccount of the model pods, for workload identity instead of keys."""
    authority_config_map_name: fields.LocalName | None = None
    """ConfigMap in the same namespace; its key ca.crt holds the certificates (PEM) by which the endpoint is trusted, and no others."""
    addressing: Addressing | None = None
    """Path: https://HOST/BUCKET/KEY. VirtualHost: https://BUCKET.HOST/KEY. Absent: Path."""


class SchemaChange(StrEnum):
    """Whether inputs and outputs may change in a way that clients notice."""

    REFUSE = "Refuse"
    ALLOW = "Allow"


class Verify(Spec):
    """Who must have signed a version before a pod starts for it."""

    public_key_secret_name: fields.LocalName
    """Secret in the same namespace; its key public.pem is the public key that belongs to `volary sign --private-key`."""


class Model(Spec):
    """Which bundle to serve."""

    uri: fields.Uri
    """Where the versions of this model live: s3://BUCKET/PREFIX, as given to `volary push`."""
    version: fields.Version
    """A pushed version; versions never change once pushed."""
    digest: fields.Digest | None = None
    """Pins the version to one manifest; anything else under that version is refused."""
    name: fields.ModelName | None = None
    """Name clients use in request paths. Absent: the name of the ModelDeployment."""
    storage: Storage = Storage()
    """How the storage is reached."""
    schema_change: SchemaChange = SchemaChange.REFUSE
    """What happens to a version that clients of the stable one would not get on with. Allow: it is tried like any other."""
    verify: Verify | None = None
    """A signature is required. Absent: unsigned versions are accepted."""
