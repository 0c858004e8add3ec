"""A version that must be signed: its signature is fetched and proved with one public key, before anything else is."""

from volary.adapters import repository
from volary.adapters.storage import Storage
from volary.agent.source import Found
from volary.bundle import signature
from volary.common.errors import Refused
from volary.common.reasons import Reason


def check(storage: Storage, found: Found, public_key: bytes) -> None:
    """Raise Refused (SignatureMissing, SignatureUntrusted, SignatureMismatch) unless the key's owner signed this manifest.

    The manifest names its version and `source.find` compared that with the version asked for, so
    manifest and signature of an older version under a newer one's name are refused as well.
    """
    version = found.manifest.version
    data = repository.signature(storage, version)
    if data is None:
        raise Refused(Reason.SIGNATURE_MISSING, f"version {version} in {storage.place} is not signed; `volary sign` it")
    signature.verify(data, found.data, public_key)
