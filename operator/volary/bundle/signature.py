"""The signature of a manifest, as OpenSSF model-signing 1.x writes it, read with nothing but `cryptography`.

It is a Sigstore bundle (v0.3, JSON) with a DSSE envelope around an in-toto statement, whose one
resource is `manifest.json`. The manifest holds the digest of every byte, so this signs them all.
Formats: github.com/secure-systems-lab/dsse, in-toto.io/Statement/v1, docs.sigstore.dev/about/bundle.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from volary.bundle import limits, paths
from volary.common.errors import Refused
from volary.common.reasons import Reason

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://model_signing/signature/v1.0"
_KEY_SHOWN = 12  # characters of a key's sha256


@dataclass(frozen=True, slots=True)
class Envelope:
    """What was signed, how, and which key the signer says it was. Nothing of it is proved yet."""

    payload: bytes
    signature: bytes
    hint: str  # sha256 of the public key's PEM in hex; empty when a certificate signed


def verify(data: bytes, manifest: bytes, public_key: bytes) -> None:
    """Prove that the owner of a key (PEM) signed these bytes of a manifest.

    Raises Refused: SignatureUntrusted (another key, or no signature at all), SignatureMismatch
    (another manifest), SpecInvalid (the key is none).
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA

    key = _key(public_key)
    envelope = parse(data)
    try:
        key.verify(envelope.signature, pre_authentication(envelope.payload), ECDSA(_hash_of(key)))
    except InvalidSignature:
        said = f"; it says it is of the key {envelope.hint[:_KEY_SHOWN]}" if envelope.hint else "; a certificate signed, not a bare key"
        _untrusted(f"it is not of the key you trust, {fingerprint(key)[:_KEY_SHOWN]}{said}")
    check_statement(envelope.payload, manifest)


def parse(data: bytes) -> Envelope:
    """The envelope in a Sigstore bundle. Raises Refused (SignatureUntrusted)."""
    if len(data) > limits.SIGNATURE_BYTES:
        _untrusted(f"it is larger than {limits.show(limits.SIGNATURE_BYTES)}")
    bundle = _json(data)
    if bundle.get("mediaType") != MEDIA_TYPE:
        _untrusted(f"it is not a Sigstore bundle of the type {MEDIA_TYPE}")
    envelope = _object(bundle, "dsseEnvelope")
    signatures = envelope.get("signatures")
    if envelope.get("payloadType") != PAYLOAD_TYPE or not isinstance(signatures, list) or len(signatures) != 1:
        _untrusted(f"its envelope does not hold one signature over {PAYLOAD_TYPE}")
    if not isinstance(signatures[0], dict):
        _untrusted("its envelope is not one")
    material = _object(bundle, "verificationMaterial")
    key = material.get("publicKey")
    hint = key.get("hint") if isinstance(key, dict) else None
    shown = hint if isinstance(hint, str) and all(letter in "0123456789abcdef" for letter in hint) else ""
    return Envelope(_bytes(envelope.get("payload")), _bytes(signatures[0].get("sig")), shown)


def check_statement(payload: bytes, manifest: bytes) -> None:
    """Of a proved payload: that it speaks of these bytes and of nothing else. Raises Refused."""
    statement = _json(payload)
    if statement.get("_type") != STATEMENT_TYPE or statement.get("predicateType") != PREDICATE_TYPE:
        _untrusted(f"what was signed is not a statement of the type {PREDICATE_TYPE}")
    resources = _object(statement, "predicate").get("resources")
    wanted = hashlib.sha256(manifest).hexdigest()
    names = [each.get("name") for each in resources if isinstance(each, dict)] if isinstance(resources, list) else []
    if names != [paths.MANIFEST] or not isinstance(resources, list):
        raise Refused(Reason.SIGNATURE_MISMATCH, f"the signature is not of {paths.MANIFEST} alone; sign with `volary sign`")
    found = resources[0]
    if found.get("algorithm") != "sha256" or found.get("digest") != wanted:
        said = ascii(found.get("digest"))[1:13]
        raise Refused(
            Reason.SIGNATURE_MISMATCH, f"the signature is of another manifest: it has the sha256 {wanted[:12]}, signed was {said}"
        )


def pre_authentication(payload: bytes) -> bytes:
    """The bytes that are signed: DSSE's PAE, so that a signature never fits a payload of another type."""
    return b" ".join((f"DSSEv1 {len(PAYLOAD_TYPE)} {PAYLOAD_TYPE} {len(payload)}".encode(), payload))


def fingerprint(key: "EllipticCurvePublicKey") -> str:
    """sha256 of the key's PEM in hex, as model-signing writes it into a signature."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return hashlib.sha256(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _key(data: bytes) -> "EllipticCurvePublicKey":
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        raise Refused(Reason.SPEC_INVALID, "the public key is not one; give it as PEM, as `openssl ec -pubout` writes it") from None
    if not isinstance(key, EllipticCurvePublicKey):
        raise Refused(Reason.SPEC_INVALID, f"the public key is a {type(key).__name__}; give one of an elliptic curve")
    return key


def _hash_of(key: "EllipticCurvePublicKey") -> Any:
    """As model-signing and the Sigstore bundle pair curve and hash."""
    from cryptography.hazmat.primitives import hashes

    match key.curve.name:
        case "secp256r1":
            return hashes.SHA256()
        case "secp384r1":
            return hashes.SHA384()
        case "secp521r1":
            return hashes.SHA512()
        case other:
            raise Refused(Reason.SPEC_INVALID, f"the public key is on the curve {other}; use P-256, P-384 or P-521")


def _json(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        _untrusted("it is not JSON")
    if not isinstance(found, dict):
        _untrusted("it is not a JSON object")
    return found


def _object(found: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = found.get(name)
    if not isinstance(value, dict):
        _untrusted(f"it has no {name}")
    return value


def _bytes(value: Any) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (TypeError, ValueError, binascii.Error):
        _untrusted("a part of it is not base64")


def _untrusted(message: str) -> NoReturn:
    raise Refused(Reason.SIGNATURE_UNTRUSTED, f"the signature cannot be trusted: {message}") from None
