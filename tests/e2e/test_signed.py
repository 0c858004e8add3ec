"""A ModelDeployment that wants its versions signed gets signed ones, and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.demo import bundles
from tests.demo.stage import secret
from tests.e2e.serving import Model
from volary.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.demo.stage import Stage

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

PEM = serialization.Encoding.PEM


def public(key: ec.EllipticCurvePrivateKey) -> str:
    return key.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.fixture(scope="module")
def space(stage: Stage, session: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A namespace that knows the signer of 2.0.0 and somebody else; 1.0.0 is not signed."""
    key, other = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    file: Path = tmp_path_factory.mktemp("keys") / "key.pem"
    file.write_bytes(key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    with bundles.environment(stage.cluster.s3):
        assert main(["sign", f"{stage.shelf.uri}/2.0.0", "--private-key", str(file), "--digest", stage.shelf.digests["2.0.0"]]) == 0
    name = stage.namespace(f"e2e-signed-{session}")
    stage.kubectl.apply(*(secret(name, who, {"public.pem": public(pair)}) for who, pair in (("signer", key), ("somebody", other))))
    yield name
    stage.leave(name)


def verified(signer: str) -> dict[str, Any]:
    return {"model": {"verify": {"publicKeySecretName": signer}}}


def test_a_signed_version_serves(stage: Stage, space: str) -> None:
    with Model.watched(stage, space, "signed") as model:
        model.apply("2.0.0", replicas=1, **verified("signer"))
        model.until_serving("2.0.0")


@pytest.mark.parametrize(
    ("name", "version", "signer", "reason", "phase"),
    [
        ("unsigned", "1.0.0", "signer", "SignatureMissing", "Refused"),
        ("untrusted", "2.0.0", "somebody", "SignatureUntrusted", "Refused"),
        ("no-key", "2.0.0", "nobody", "SecretNotFound", "Checking"),
    ],
)
def test_no_pod_starts_for_any_other(stage: Stage, space: str, name: str, version: str, signer: str, reason: str, phase: str) -> None:
    with Model.watched(stage, space, name) as model:
        model.apply(version, replicas=1, **verified(signer))
        model.until_said(reason, phase)
        assert model.pods() == []
