"""Who signed a bundle: the hostile inputs 32 to 36, and that model-signing's own command agrees."""

import base64
import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from model_signing._cli import main as model_signing

from tests.support import keys
from tests.unit.trust import bundles
from volary import packaging
from volary.adapters.storage import InMemory
from volary.agent import signed, source
from volary.agent.source import Wanted
from volary.bundle import layout, limits, paths, signature
from volary.cli.main import main
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.packaging import Bundle, signing
from volary.packaging.signing import Signer, Trust

URI = "s3://models/digits"


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> keys.Pair:
    return keys.pair(tmp_path_factory.mktemp("key"))


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> keys.Authority:
    return keys.authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return bundles.make(tmp_path / "bundle")


@pytest.fixture
def signed_bundle(bundle: Bundle, key: keys.Pair) -> Bundle:
    return signing.sign_bundle(bundle.path, Signer(key.private))


def refusal(call: Callable[[], object]) -> Refused:
    with pytest.raises(Refused) as caught:
        call()
    return caught.value


def found(bundle: Bundle) -> bytes:
    data = signing.read(bundle.path)
    assert data is not None
    return data


# ---- the right way ----------------------------------------------------------------------------


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: curve.name)
def test_a_signature_is_proved_with_the_public_key(bundle: Bundle, tmp_path: Path, curve: ec.EllipticCurve) -> None:
    key = keys.pair(tmp_path, curve=curve)
    signing.sign_bundle(bundle.path, Signer(key.private))
    signing.verify(bundle.data, found(bundle), Trust(key.public))
    assert len(found(bundle)) < limits.SIGNATURE_BYTES


def test_a_signature_is_proved_with_a_root(bundle: Bundle, ca: keys.Authority) -> None:
    signing.sign_bundle(bundle.path, Signer(ca.private, ca.certificate))
    signing.verify(bundle.data, found(bundle), Trust(chain=(ca.root,)))


def test_model_signings_own_command_agrees(bundle: Bundle, key: keys.Pair, ca: keys.Authority) -> None:
    def theirs(*trust: str | Path) -> int:
        words = ["verify", *trust, "--signature", bundle.path / paths.SIGNATURE, "--ignore_unsigned_files", bundle.path]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return CliRunner().invoke(model_signing, [str(word) for word in words]).exit_code

    signing.sign_bundle(bundle.path, Signer(key.private))
    assert theirs("key", "--public_key", key.public) == 0
    (bundle.path / paths.MANIFEST).write_bytes(bundle.data + b" ")
    assert theirs("key", "--public_key", key.public) != 0
    (bundle.path / paths.MANIFEST).write_bytes(bundle.data)
    signing.sign_bundle(bundle.path, Signer(ca.private, ca.certificate))
    assert theirs("certificate", "--certificate_chain", ca.root) == 0


def test_verify_says_what_it_proved(signed_bundle: Bundle, key: keys.Pair, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(signed_bundle.path), "--public-key", str(key.public)]) == 0
    told = capsys.readouterr()
    assert told.out == f"{signed_bundle.digest}\n"
    assert "signed as you asked" in told.err
    assert main(["verify", str(signed_bundle.path)]) == 0
    assert "name --public-key" in capsys.readouterr().err


def test_sign_from_the_command_line(bundle: Bundle, ca: keys.Authority, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--private-key", str(ca.private), "--signing-certificate", str(ca.certificate)]
    assert main(["sign", str(bundle.path), *words]) == 0
    assert main(["verify", str(bundle.path), "--certificate-chain", str(ca.root)]) == 0
    assert "KeyUsage" not in capsys.readouterr().err


# ---- 32 to 36 ---------------------------------------------------------------------------------


def test_32_no_signature(bundle: Bundle, key: keys.Pair, ca: keys.Authority) -> None:
    for trust in (Trust(key.public), Trust(chain=(ca.root,))):
        assert refusal(lambda trust=trust: signing.verify(bundle.data, None, trust)).reason is Reason.SIGNATURE_MISSING  # type: ignore[misc]
    signing.verify(bundle.data, None, Trust())


def test_33_another_key(signed_bundle: Bundle, key: keys.Pair, tmp_path: Path) -> None:
    other = keys.pair(tmp_path, "other")
    error = refusal(lambda: signing.verify(signed_bundle.data, found(signed_bundle), Trust(other.public)))
    assert error.reason is Reason.SIGNATURE_UNTRUSTED
    hint = signature.parse(found(signed_bundle)).hint
    assert f"it says it is of the key {hint[:12]}" in error.message


def test_33_another_curve(signed_bundle: Bundle, tmp_path: Path) -> None:
    other = keys.pair(tmp_path, curve=ec.SECP384R1())
    error = refusal(lambda: signing.verify(signed_bundle.data, found(signed_bundle), Trust(other.public)))
    assert error.reason is Reason.SIGNATURE_UNTRUSTED


def test_33_a_certificate_of_another_root(bundle: Bundle, ca: keys.Authority, tmp_path: Path) -> None:
    other = keys.authority(tmp_path, "other")
    signing.sign_bundle(bundle.path, Signer(other.private, other.certificate, (other.root,)))  # brings its own root along
    error = refusal(lambda: signing.verify(bundle.data, found(bundle), Trust(chain=(ca.root,))))
    assert error.reason is Reason.SIGNATURE_UNTRUSTED
    assert "no chain" in error.message


def test_33_a_certificate_for_something_else(bundle: Bundle, tmp_path: Path) -> None:
    other = keys.authority(tmp_path, "tls", signs=False)
    signing.sign_bundle(bundle.path, Signer(other.private, other.certificate))
    assert refusal(lambda: signing.verify(bundle.data, found(bundle), Trust(chain=(other.root,)))).reason is Reason.SIGNATURE_UNTRUSTED


def test_33_a_key_where_a_certificate_must_be_and_the_other_way_round(bundle: Bundle, key: keys.Pair, ca: keys.Authority) -> None:
    by_key, by_certificate = signing.sign(bundle.data, Signer(key.private)), signing.sign(bundle.data, Signer(ca.private, ca.certificate))
    assert refusal(lambda: signing.verify(bundle.data, by_key, Trust(chain=(ca.root,)))).reason is Reason.SIGNATURE_UNTRUSTED
    error = refusal(lambda: signing.verify(bundle.data, by_certificate, Trust(key.public)))
    assert error.reason is Reason.SIGNATURE_UNTRUSTED
    assert "a certificate signed" in error.message


@pytest.mark.parametrize("by", ["key", "certificate"])
def test_34_over_another_manifest(by: str, bundle: Bundle, key: keys.Pair, ca: keys.Authority, tmp_path: Path) -> None:
    signer, trust = {
        "key": (Signer(key.private), Trust(key.public)),
        "certificate": (Signer(ca.private, ca.certificate), Trust(chain=(ca.root,))),
    }[by]
    other = bundles.make(tmp_path / "other", data={"weights.bin": b"others"})
    data = signing.sign(other.data, signer)
    assert refusal(lambda: signing.verify(bundle.data, data, trust)).reason is Reason.SIGNATURE_MISMATCH


def test_34_a_signature_left_from_an_earlier_pack_is_not_pushed(signed_bundle: Bundle) -> None:
    again = bundles.make(signed_bundle.path, data={"weights.bin": b"new"})
    storage = InMemory()
    assert refusal(lambda: packaging.push(again.path, URI, storage=storage)).reason is Reason.SIGNATURE_MISMATCH
    assert storage.objects == {}


def test_who_pushes_another_bundle_under_the_name_does_not_touch_its_signature(
    signed_bundle: Bundle, key: keys.Pair, tmp_path: Path
) -> None:
    storage = InMemory()
    packaging.push(signed_bundle.path, URI, storage=storage)
    other = bundles.make(tmp_path / "other", data={"w.bin": b"other"})
    signing.sign_bundle(other.path, Signer(key.private))
    before = storage.objects["signatures/1.0.0.json"]
    assert refusal(lambda: packaging.push(other.path, URI, storage=storage)).reason is Reason.NAME_CONFLICT
    assert storage.objects["signatures/1.0.0.json"] == before


def test_35_an_older_version_with_its_signature_under_a_newer_name(signed_bundle: Bundle, key: keys.Pair) -> None:
    """The attacker may write to the bucket: 1.0.0, which was bad, is put in the place of 2.0.0 with its own good signature."""
    storage = InMemory()
    packaging.push(signed_bundle.path, URI, storage=storage)
    storage.put(layout.version_key("2.0.0"), signed_bundle.data)
    storage.put(layout.signature_key("2.0.0"), found(signed_bundle))
    error = refusal(lambda: source.find(storage, Wanted("2.0.0")))
    assert (error.reason, error.message) == (Reason.MANIFEST_INVALID, "version 2.0.0 holds the manifest of version 1.0.0")
    signed.check(storage, source.find(storage, Wanted("1.0.0")), key.public.read_bytes())


def test_35_an_older_signature_under_a_newer_manifest(signed_bundle: Bundle, key: keys.Pair, tmp_path: Path) -> None:
    storage = InMemory()
    packaging.push(signed_bundle.path, URI, storage=storage)
    packaging.push(bundles.make(tmp_path / "new", "2.0.0").path, URI, storage=storage)
    new, public = source.find(storage, Wanted("2.0.0")), key.public.read_bytes()
    assert refusal(lambda: signed.check(storage, new, public)).reason is Reason.SIGNATURE_MISSING
    storage.put(layout.signature_key("2.0.0"), found(signed_bundle))
    assert refusal(lambda: signed.check(storage, new, public)).reason is Reason.SIGNATURE_MISMATCH


@pytest.mark.parametrize("extra", ["model2.onnx", "deep/er.bin", ".hidden", "manifest.json.bak"])
def test_36_a_file_nobody_vouches_for(signed_bundle: Bundle, key: keys.Pair, extra: str, capsys: pytest.CaptureFixture[str]) -> None:
    (signed_bundle.path / extra).parent.mkdir(exist_ok=True)
    (signed_bundle.path / extra).touch()
    assert main(["verify", str(signed_bundle.path), "--public-key", str(key.public)]) == 1
    error = capsys.readouterr().err
    assert "(ExtraFile)" in error
    assert extra in error
    assert refusal(lambda: signing.sign_bundle(signed_bundle.path, Signer(key.private))).reason is Reason.EXTRA_FILE


@pytest.mark.parametrize("target", ["/etc", "model.onnx"])
def test_36_a_link_nobody_vouches_for(signed_bundle: Bundle, target: str) -> None:
    (signed_bundle.path / "link").symlink_to(target)
    assert refusal(lambda: signing.check_nothing_else(signed_bundle)).reason is Reason.EXTRA_FILE


def test_a_flipped_byte_is_found_though_the_signature_is_good(signed_bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    data = bytearray((signed_bundle.path / "model.onnx").read_bytes())
    data[100] ^= 1
    (signed_bundle.path / "model.onnx").write_bytes(data)
    assert main(["verify", str(signed_bundle.path)]) == 1
    assert "(DigestMismatch)" in capsys.readouterr().err


# ---- signatures that are none -----------------------------------------------------------------


def without(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda document: document.pop(name) and None


def statement(document: dict[str, Any], change: Callable[[dict[str, Any]], object]) -> None:
    payload = json.loads(base64.b64decode(document["dsseEnvelope"]["payload"]))
    change(payload)
    document["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(payload).encode()).decode()


BROKEN: dict[str, Callable[[dict[str, Any]], object]] = {
    "another media type": lambda document: document.update(mediaType="application/vnd.dev.sigstore.bundle+json;version=0.1"),
    "no envelope": without("dsseEnvelope"),
    "no material": without("verificationMaterial"),
    "another payload type": lambda document: document["dsseEnvelope"].update(payloadType="text/plain"),
    "no signature": lambda document: document["dsseEnvelope"].update(signatures=[]),
    "two signatures": lambda document: document["dsseEnvelope"]["signatures"].append({"sig": ""}),
    "a signature of text": lambda document: document["dsseEnvelope"].update(signatures=["x"]),
    "a signature that is not base64": lambda document: document["dsseEnvelope"].update(signatures=[{"sig": "?"}]),
    "an empty signature": lambda document: document["dsseEnvelope"].update(signatures=[{"sig": ""}]),
    "no payload": lambda document: document["dsseEnvelope"].pop("payload"),
    "a payload changed after signing": lambda document: statement(document, lambda payload: payload.update(more=1)),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_signature_is_not_trusted(name: str, signed_bundle: Bundle, key: keys.Pair) -> None:
    document = json.loads(found(signed_bundle))
    BROKEN[name](document)
    data = json.dumps(document).encode()
    error = refusal(lambda: signature.verify(data, signed_bundle.data, key.public.read_bytes()))
    assert error.reason is Reason.SIGNATURE_UNTRUSTED


@pytest.mark.parametrize(
    "data", [b"", b"\xff", b"[]", b"{}", b"[" * 100_000, b"{" + b" " * limits.SIGNATURE_BYTES + b"}"], ids=lambda d: repr(d[:4])
)
def test_what_is_no_signature_is_not_trusted(data: bytes, bundle: Bundle, key: keys.Pair, ca: keys.Authority) -> None:
    for trust in (Trust(key.public), Trust(chain=(ca.root,))):
        assert refusal(lambda trust=trust: signing.verify(bundle.data, data, trust)).reason is Reason.SIGNATURE_UNTRUSTED  # type: ignore[misc]


RESOURCE = {"name": "manifest.json", "algorithm": "sha256", "digest": "0" * 64}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda payload: payload.update(predicateType="https://slsa.dev/provenance/v1"), Reason.SIGNATURE_UNTRUSTED),
        (lambda payload: payload.update(_type="x"), Reason.SIGNATURE_UNTRUSTED),
        (lambda payload: payload.update(predicate=[]), Reason.SIGNATURE_UNTRUSTED),
        (lambda payload: payload["predicate"].update(resources=[]), Reason.SIGNATURE_MISMATCH),
        (lambda payload: payload["predicate"].update(resources=[RESOURCE]), Reason.SIGNATURE_MISMATCH),
        (lambda payload: payload["predicate"]["resources"].append(RESOURCE), Reason.SIGNATURE_MISMATCH),
        (lambda payload: payload["predicate"]["resources"][0].update(name="model.onnx"), Reason.SIGNATURE_MISMATCH),
        (lambda payload: payload["predicate"]["resources"][0].update(algorithm="blake3"), Reason.SIGNATURE_MISMATCH),
    ],
)
def test_a_good_signature_over_something_else(
    change: Callable[[dict[str, Any]], object], reason: Reason, signed_bundle: Bundle, key: keys.Pair
) -> None:
    """Signed with the right key, but by another program or for another purpose."""
    document = json.loads(found(signed_bundle))
    statement(document, change)
    payload = base64.b64decode(document["dsseEnvelope"]["payload"])
    private = load_pem_private_key(key.private.read_bytes(), None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    sig = private.sign(signature.pre_authentication(payload), ec.ECDSA(hashes.SHA256()))
    document["dsseEnvelope"]["signatures"] = [{"sig": base64.b64encode(sig).decode()}]
    data = json.dumps(document).encode()
    assert refusal(lambda: signature.verify(data, signed_bundle.data, key.public.read_bytes())).reason is reason


# ---- keys that are none -----------------------------------------------------------------------


def test_keys_that_cannot_be_used(signed_bundle: Bundle, tmp_path: Path) -> None:
    edwards = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    koblitz = keys.pair(tmp_path, "koblitz", ec.SECP256K1()).public.read_bytes()
    for public in (b"", b"ssh-rsa AAAA", edwards, koblitz):
        error = refusal(lambda public=public: signature.verify(found(signed_bundle), signed_bundle.data, public))  # type: ignore[misc]
        assert error.reason is Reason.SPEC_INVALID


def test_signers_that_cannot_be_used(bundle: Bundle, key: keys.Pair, ca: keys.Authority, tmp_path: Path) -> None:
    (tmp_path / "none.pem").write_text("none")
    for signer in (Signer(tmp_path / "none.pem"), Signer(key.private, ca.certificate), Signer(key.private, tmp_path / "none.pem")):
        assert refusal(lambda signer=signer: signing.sign_bundle(bundle.path, signer)).reason is Reason.SPEC_INVALID  # type: ignore[misc]
    assert not (bundle.path / paths.SIGNATURE).exists()
    error = refusal(
        lambda: signing.verify(bundle.data, signing.sign(bundle.data, Signer(key.private)), Trust(chain=(tmp_path / "none.pem",)))
    )
    assert error.reason is Reason.SPEC_INVALID


def test_a_key_of_another_kind_and_one_with_a_password(bundle: Bundle, key: keys.Pair, tmp_path: Path) -> None:
    private = load_pem_private_key(key.private.read_bytes(), None)
    locked = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    edwards = ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for data, words in ((locked, "encrypted"), (edwards, "not a key of an elliptic curve")):
        (tmp_path / "k.pem").write_bytes(data)
        error = refusal(lambda: signing.sign_bundle(bundle.path, Signer(tmp_path / "k.pem")))
        assert (error.reason, words in error.message) == (Reason.SPEC_INVALID, True)


def test_only_what_was_meant_is_signed(bundle: Bundle, key: keys.Pair, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["sign", str(bundle.path), "--private-key", str(key.private), "--digest"]
    assert main([*words, f"sha256:{'0' * 64}"]) == 1
    assert "(ManifestDigestMismatch)" in capsys.readouterr().err
    assert not (bundle.path / paths.SIGNATURE).exists()
    assert main([*words, bundle.digest]) == 0


def test_a_key_that_is_not_there(bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sign", str(bundle.path), "--private-key", str(tmp_path / "no.pem")]) == 1
    assert capsys.readouterr().err == f"volary sign: {tmp_path / 'no.pem'}: No such file or directory\n"


def test_what_is_spoilt_is_not_signed(bundle: Bundle, key: keys.Pair) -> None:
    (bundle.path / "model.onnx").write_bytes(b"spoilt")
    assert refusal(lambda: signing.sign_bundle(bundle.path, Signer(key.private))).reason is Reason.SIZE_MISMATCH


# ---- in the storage ---------------------------------------------------------------------------


def test_push_brings_the_signature_and_a_renewed_one_too(signed_bundle: Bundle, tmp_path: Path) -> None:
    storage = InMemory()
    packaging.push(signed_bundle.path, URI, storage=storage)
    assert storage.objects["signatures/1.0.0.json"] == found(signed_bundle)
    other = keys.pair(tmp_path, "other")
    signing.sign_bundle(signed_bundle.path, Signer(other.private))
    assert packaging.push(signed_bundle.path, URI, storage=storage).already
    signed.check(storage, source.find(storage, Wanted("1.0.0")), other.public.read_bytes())


def test_a_signed_bundle_copied_elsewhere_is_still_signed(signed_bundle: Bundle, key: keys.Pair, tmp_path: Path) -> None:
    shutil.copytree(signed_bundle.path, tmp_path / "copy" / "with another name")
    assert main(["verify", str(tmp_path / "copy" / "with another name"), "--public-key", str(key.public)]) == 0
