"""Keys and certificates for tests: made in memory, written as PEM."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Pair:
    """A private and a public key, as files."""

    private: Path
    public: Path


@dataclass(frozen=True)
class Authority:
    """A root, a certificate it gave, and that one's key."""

    root: Path
    certificate: Path
    private: Path


def pair(directory: Path, name: str = "key", curve: ec.EllipticCurve | None = None) -> Pair:
    key = ec.generate_private_key(curve or ec.SECP256R1())
    public = directory / f"{name}.pub"
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return Pair(_private(directory / f"{name}.pem", key), public)


def authority(directory: Path, name: str = "ca", *, signs: bool = True) -> Authority:
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root_name, subject = _name(f"{name} root"), _name(f"{name} signer")
    root = _builder(root_name, root_name, root_key).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    usage = [ExtendedKeyUsageOID.CODE_SIGNING if signs else ExtendedKeyUsageOID.CLIENT_AUTH]
    leaf = _builder(subject, root_name, key).add_extension(x509.ExtendedKeyUsage(usage), critical=False)
    paths = directory / f"{name}-root.pem", directory / f"{name}.pem"
    for path, builder in zip(paths, (root, leaf), strict=True):
        path.write_bytes(builder.sign(root_key, hashes.SHA256()).public_bytes(Encoding.PEM))
    return Authority(*paths, _private(directory / f"{name}-key.pem", key))


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _private(path: Path, key: ec.EllipticCurvePrivateKey) -> Path:
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path
