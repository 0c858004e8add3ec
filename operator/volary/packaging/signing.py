"""Sign a bundle, and prove one on this machine: every byte, the signature, and that nothing else lies there.

model-signing is imported when something is signed or a certificate is to be proved; a bare key is
proved by `volary.bundle.signature` (docs/adr/0005).
"""

import logging
import os
import secrets
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from volary.bundle import limits, paths, signature
from volary.common.errors import Refused, first_line
from volary.common.reasons import Reason
from volary.packaging import bundle as bundles
from volary.packaging.bundle import Bundle


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs: a key of an elliptic curve (PEM, not encrypted), and the certificate for it where there is one."""

    private_key: Path
    certificate: Path | None = None
    chain: tuple[Path, ...] = ()  # between the certificate and the root, the root left out


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom to believe: one public key, or who has a certificate of one of these roots. None of them: nobody is asked for."""

    public_key: Path | None = None
    chain: tuple[Path, ...] = ()

    @property
    def wanted(self) -> bool:
        """Whether there must be a signature."""
        return self.public_key is not None or bool(self.chain)


def sign(manifest: bytes, signer: Signer) -> bytes:
    """The signature of a manifest. Raises Refused (SpecInvalid) when key or certificate cannot be used."""
    from model_signing import signing

    config = signing.Config()  # type: ignore[no-untyped-call] # it is not typed
    with _alone(manifest) as directory:
        output = directory.parent / paths.SIGNATURE
        try:
            if signer.certificate is None:
                config.use_elliptic_key_signer(private_key=signer.private_key)
            else:
                chain = list(signer.chain) or [signer.certificate]  # the library wants one; its own adds no trust
                config.use_certificate_signer(
                    private_key=signer.private_key, signing_certificate=signer.certificate, certificate_chain=chain
                )
            config.sign(directory, output)
        except AttributeError:  # the library takes for granted what it was given
            raise Refused(Reason.SPEC_INVALID, f"cannot sign with {signer.private_key}: it is not a key of an elliptic curve") from None
        except (ValueError, TypeError) as error:  # TypeError: the key is encrypted
            raise Refused(Reason.SPEC_INVALID, f"cannot sign with {signer.private_key}: {first_line(error, 200)}") from None
        return output.read_bytes()


def sign_bundle(path: Path, signer: Signer, digest: str | None = None) -> Bundle:
    """Put `manifest.json.sig` beside the manifest, over an earlier one. Every byte is proved first: nothing spoilt is signed."""
    bundle = bundles.load(path)
    check_digest(bundle.digest, digest)
    bundles.verify(bundle)
    check_nothing_else(bundle)
    work = path.parent / f".{paths.SIGNATURE}.{secrets.token_hex(4)}"
    try:
        work.write_bytes(sign(bundle.data, signer))
        work.replace(path / paths.SIGNATURE)
    finally:
        work.unlink(missing_ok=True)
    return bundle


def verify(manifest: bytes, found: bytes | None, trust: Trust) -> None:
    """Prove the signature of a manifest. Raises Refused (SignatureMissing, SignatureUntrusted, SignatureMismatch, SpecInvalid)."""
    if not trust.wanted:
        return
    if found is None:
        raise Refused(Reason.SIGNATURE_MISSING, "the bundle is not signed; `volary sign` it, or verify it without a key")
    if trust.public_key is not None:
        signature.verify(found, manifest, trust.public_key.read_bytes())
    if trust.chain:
        _verify_certificate(found, manifest, trust.chain)


def check_belongs(found: bytes, manifest: bytes) -> None:
    """Raise Refused (SignatureMismatch) when the signature is one left over from an earlier pack. Proves nothing else."""
    signature.check_statement(signature.parse(found).payload, manifest)


def check_digest(found: str, wanted: str | None) -> None:
    """Raise Refused (ManifestDigestMismatch) when the bundle is not the one that was meant."""
    if wanted is not None and found != wanted:
        raise Refused(Reason.MANIFEST_DIGEST_MISMATCH, f"the bundle has the digest {found}, wanted is {wanted}")


def read(path: Path) -> bytes | None:
    """The signature of a bundle on this machine, or None."""
    try:
        with (path / paths.SIGNATURE).open("rb") as stream:
            return stream.read(limits.SIGNATURE_BYTES + 1)
    except FileNotFoundError:
        return None


def check_nothing_else(bundle: Bundle) -> None:
    """Raise Refused (ExtraFile) when the directory holds what no manifest vouches for, such as a second model."""
    known = {paths.MANIFEST, paths.SIGNATURE, *(file.path for file in bundle.manifest.files)}
    for directory, names, files in os.walk(bundle.path):
        links = [name for name in names if Path(directory, name).is_symlink()]
        for name in sorted((*files, *links)):
            path = Path(directory, name).relative_to(bundle.path).as_posix()
            if path not in known:
                raise Refused(Reason.EXTRA_FILE, f"{bundle.path} holds {paths.show(path)}, which the manifest does not name; remove it")


def _verify_certificate(found: bytes, manifest: bytes, chain: Sequence[Path]) -> None:
    from model_signing import verifying
    from OpenSSL.crypto import X509StoreContextError

    envelope = signature.parse(found)
    logging.getLogger(verifying.__package__).setLevel(logging.ERROR)  # it remarks on good certificates too
    with _alone(manifest) as directory:
        (directory.parent / paths.SIGNATURE).write_bytes(found)
        config = verifying.Config()  # type: ignore[no-untyped-call] # it is not typed
        try:
            verifier = config.use_certificate_verifier(certificate_chain=list(chain))
        except ValueError:
            shown = ", ".join(str(path) for path in chain)
            raise Refused(Reason.SPEC_INVALID, f"{shown}: not certificates; give them as PEM") from None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # model-signing 1.1.1 logs with a name of old
                verifier.verify(directory, directory.parent / paths.SIGNATURE)
        except Exception as error:  # noqa: BLE001 -- the library lets through what cryptography, pydantic and OpenSSL raise
            if isinstance(error, ValueError) and str(error).startswith("Signature mismatch"):
                raise Refused(Reason.SIGNATURE_MISMATCH, "the signature is of another manifest, by a certificate you trust") from None
            what = "no chain to the certificates you trust" if isinstance(error, X509StoreContextError) else type(error).__name__
            raise Refused(Reason.SIGNATURE_UNTRUSTED, f"the signature cannot be trusted: {what}") from None
    signature.check_statement(envelope.payload, manifest)


@contextmanager
def _alone(manifest: bytes) -> Iterator[Path]:
    """A directory that holds the manifest and nothing else: what is signed."""
    with tempfile.TemporaryDirectory(prefix="volary-") as work:
        directory = Path(work) / "bundle"
        directory.mkdir()
        (directory / paths.MANIFEST).write_bytes(manifest)
        yield directory
