"""Certificate authorities, certificates and kubeconfigs of one cluster's life."""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.cluster.settings import API_CLUSTER_IP, API_URL, NODE_IP, NODE_NAME

if TYPE_CHECKING:
    from pathlib import Path

_LIFE = dt.timedelta(days=365)
_AUTHORITIES = ("ca", "front-proxy-ca", "etcd-ca")
_LOCAL = ("localhost", "127.0.0.1", NODE_IP, NODE_NAME)
_API_NAMES = (
    *_LOCAL,
    API_CLUSTER_IP,
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)


@dataclass(frozen=True)
class Leaf:
    """One certificate to issue."""

    file: str
    authority: str
    name: str
    groups: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


_LEAVES = (
    Leaf("apiserver", "ca", "kube-apiserver", hosts=_API_NAMES),
    Leaf("apiserver-kubelet-client", "ca", "kube-apiserver-kubelet-client", ("system:masters",)),
    Leaf("kubelet-server", "ca", f"system:node:{NODE_NAME}", ("system:nodes",), _LOCAL),
    Leaf("front-proxy-client", "front-proxy-ca", "front-proxy-client"),
    Leaf("etcd-server", "etcd-ca", "etcd", hosts=_LOCAL),
    Leaf("apiserver-etcd-client", "etcd-ca", "kube-apiserver-etcd-client"),
    Leaf("admin", "ca", "kubernetes-admin", ("system:masters",)),
    Leaf("kubelet", "ca", f"system:node:{NODE_NAME}", ("system:nodes",)),
    Leaf("controller-manager", "ca", "system:kube-controller-manager"),
    Leaf("scheduler", "ca", "system:kube-scheduler"),
    Leaf("proxy", "ca", "system:kube-proxy"),
)
_KUBECONFIGS = ("admin", "kubelet", "controller-manager", "scheduler", "proxy")


def issue(directory: Path) -> None:
    """Write every certificate, key and kubeconfig into `directory`; private files are readable by the owner only."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    authorities = {name: authority(directory, name) for name in _AUTHORITIES}
    for leaf in _LEAVES:
        issue_leaf(directory, leaf, *authorities[leaf.authority])
    for name in _KUBECONFIGS:
        _private(directory / f"{name}.kubeconfig", kubeconfig(directory, name).encode())
    signing = ec.generate_private_key(ec.SECP256R1())
    _private(directory / "sa.key", _pem(signing))
    public = signing.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (directory / "sa.pub").write_bytes(public)


def kubeconfig(directory: Path, name: str) -> str:
    """A kubeconfig with everything inside, so that it may be copied anywhere."""
    cluster = {"server": API_URL, "certificate-authority-data": _base64(directory / "ca.crt")}
    user = {
        "client-certificate-data": _base64(directory / f"{name}.crt"),
        "client-key-data": _base64(directory / f"{name}.key"),
    }
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "volary-test", "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": "volary-test", "context": {"cluster": "volary-test", "user": name}}],
        "current-context": "volary-test",
    }
    return yaml.safe_dump(document, sort_keys=False)


def authority(directory: Path, name: str) -> tuple[ec.EllipticCurvePrivateKey, x509.Name]:
    """Write NAME.crt and NAME.key of a new certificate authority; what signs with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(f"volary-test-{name}", ())
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        _builder(subject, subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write(directory / name, key, certificate)
    return key, subject


def issue_leaf(directory: Path, leaf: Leaf, issuer_key: ec.EllipticCurvePrivateKey, issuer: x509.Name) -> None:
    """Write the certificate and key of a leaf, signed by an authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    uses = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    builder = (
        _builder(_subject(leaf.name, leaf.groups), issuer, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if leaf.hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName([_general_name(host) for host in leaf.hosts]), critical=False)
    _write(directory / leaf.file, key, builder.sign(issuer_key, hashes.SHA256()))


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))  # clocks of pods and host may differ a little
        .not_valid_after(now + _LIFE)
    )


def _subject(name: str, groups: tuple[str, ...]) -> x509.Name:
    organizations = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*organizations, x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _write(stem: Path, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
    _private(stem.with_name(f"{stem.name}.key"), _pem(key))
    stem.with_name(f"{stem.name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _private(path: Path, content: bytes) -> None:
    """Create the file closed to others from its first moment."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
