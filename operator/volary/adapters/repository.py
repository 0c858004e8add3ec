"""What lies in a place for models besides blobs: versions, their signatures, aliases."""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from volary.adapters.storage import Storage
from volary.bundle import alias as aliases_
from volary.bundle import layout, limits, manifest
from volary.bundle.alias import Alias
from volary.bundle.manifest import Manifest
from volary.common.errors import Refused
from volary.common.reasons import Reason

_WORKERS = 8  # a manifest is small: the time goes by waiting for the answer


@dataclass(frozen=True, slots=True)
class Version:
    """A version as it lies in the storage."""

    manifest: Manifest
    data: bytes  # the manifest's bytes

    @property
    def digest(self) -> str:
        """`sha256:<hex>`."""
        return manifest.digest(self.data)


@dataclass(frozen=True, slots=True)
class Entry:
    """A version in a list of them."""

    name: str
    version: Version | Refused  # why it cannot be read: one such does not hide the others
    created: datetime
    signed: bool  # there is a signature; whose, nobody asked
    aliases: tuple[str, ...]


def names(storage: Storage) -> Mapping[str, datetime]:
    """Every version -> when it was pushed. Raises Refused (ManifestInvalid) when something else lies among them."""
    found: dict[str, datetime] = {}
    for each in storage.list(layout.VERSIONS):
        name = layout.name_in(layout.VERSIONS, each.key)
        if name is None:
            raise Refused(
                Reason.MANIFEST_INVALID, f"{ascii(each.key)[:200]} in {storage.place} is no version; find out what it is and remove it"
            )
        found[name] = each.modified
    return found


def version(storage: Storage, name: str) -> Version:
    """One version. Raises Refused (VersionNotFound and what is wrong with a manifest)."""
    try:
        data = storage.read(layout.version_key(name), limits.MANIFEST_BYTES)
    except Refused as error:
        if error.reason is not Reason.FILE_NOT_FOUND:
            raise
        raise Refused(Reason.VERSION_NOT_FOUND, f"there is no version {name} in {storage.place}{hint(storage, name)}") from None
    try:
        found = manifest.parse(data)
    except Refused as error:
        raise Refused(error.reason, f"version {name} in {storage.place}: {error.message}") from None
    if found.version != name:
        raise Refused(Reason.MANIFEST_INVALID, f"version {name} in {storage.place} holds the manifest of version {found.version}")
    return Version(found, data)


def versions(storage: Storage, wanted: Iterable[str]) -> Mapping[str, Version]:
    """Several versions by name, read side by side. Raises as `version` does for the first that cannot be read."""
    listed = list(wanted)
    with ThreadPoolExecutor(max_workers=_WORKERS) as pool:
        return dict(zip(listed, pool.map(partial(version, storage), listed), strict=True))


def entries(storage: Storage) -> list[Entry]:
    """All versions, in the order they were pushed."""
    listed = {layout.name_in(layout.VERSIONS, each.key): each.modified for each in storage.list(layout.VERSIONS)}
    found = {name: created for name, created in listed.items() if name is not None}
    with ThreadPoolExecutor(max_workers=_WORKERS) as pool:
        read = dict(zip(found, pool.map(partial(_readable, storage), found), strict=True))
    signed = {layout.name_in(layout.SIGNATURES, each.key) for each in storage.list(layout.SIGNATURES)}
    pointing = aliases(storage)
    made = [
        Entry(
            name=name,
            version=read[name],
            created=created,
            signed=name in signed,
            aliases=tuple(sorted(alias for alias, each in pointing.items() if each.version == name)),
        )
        for name, created in found.items()
    ]
    return sorted(made, key=lambda entry: (entry.created, entry.name))


def signature(storage: Storage, name: str) -> bytes | None:
    """The signature of a version, or None."""
    return _read(storage, layout.signature_key(name), limits.SIGNATURE_BYTES)


def alias(storage: Storage, name: str) -> Alias | None:
    """Where an alias points, or None when there is none of the name. Raises Refused (AliasInvalid)."""
    data = _read(storage, layout.alias_key(name), limits.ALIAS_BYTES)
    return None if data is None else aliases_.parse(data, name)


def aliases(storage: Storage) -> Mapping[str, Alias]:
    """All aliases by name."""
    found = (layout.name_in(layout.ALIASES, each.key) for each in storage.list(layout.ALIASES))
    return _present(storage, (name for name in found if name is not None))


def resolve(storage: Storage, name: str) -> Version:
    """The version an alias points at. Raises Refused: VersionNotFound, ManifestDigestMismatch when the version is not what it was."""
    there = alias(storage, name)
    if there is None:
        raise Refused(Reason.VERSION_NOT_FOUND, f"there is no alias {name} in {storage.place}; there is {_known(storage)}")
    found = version(storage, there.version)
    if found.digest != there.digest:
        message = f"the alias {name} points at {there.version} with the digest {there.digest}, which now has {found.digest}"
        raise Refused(Reason.MANIFEST_DIGEST_MISMATCH, message)
    return found


def set_alias(storage: Storage, name: str, to: str, updated_at: datetime) -> Alias:
    """Point an alias at a version, wherever it pointed before.

    Raises Refused: VersionNotFound, NameConflict when there is a version of that name, so that one word never means two things.
    """
    key = layout.alias_key(name)
    if _read(storage, layout.version_key(name), limits.MANIFEST_BYTES) is not None:
        raise Refused(Reason.NAME_CONFLICT, f"there is a version {name} in {storage.place}; give the alias another name")
    made = Alias(version=to, digest=version(storage, to).digest, updated_at=updated_at.isoformat(timespec="seconds"))
    storage.put(key, aliases_.dump(made))
    return made


def remove_alias(storage: Storage, name: str) -> None:
    """Raises Refused (VersionNotFound) where there is none, so that a slip of the pen is told."""
    if _read(storage, layout.alias_key(name), limits.ALIAS_BYTES) is None:
        raise Refused(Reason.VERSION_NOT_FOUND, f"there is no alias {name} in {storage.place}; there is {_known(storage)}")
    storage.delete([layout.alias_key(name)])


def hint(storage: Storage, name: str) -> str:
    """What to add when there is no version of a name: perhaps it is an alias. Says nothing when that cannot be told."""
    try:
        found = alias(storage, name)
    except Refused:
        return ""  # such as credentials for versions only: the first trouble is the one to tell
    if found is None:
        return ""
    return f"; {name} is an alias of version {found.version}: an alias may be moved, so write the version it points at"


def _readable(storage: Storage, name: str) -> Version | Refused:
    try:
        return version(storage, name)
    except Refused as error:
        return error


def _known(storage: Storage) -> str:
    found = (layout.name_in(layout.ALIASES, each.key) for each in storage.list(layout.ALIASES))
    return ", ".join(name for name in found if name is not None) or "none"


def _present(storage: Storage, wanted: Iterable[str]) -> Mapping[str, Alias]:
    found = {name: alias(storage, name) for name in wanted}
    return {name: each for name, each in found.items() if each is not None}  # one may go while we look


def _read(storage: Storage, key: str, limit: int) -> bytes | None:
    try:
        return storage.read(key, limit)
    except Refused as error:
        if error.reason is Reason.FILE_NOT_FOUND:
            return None
        raise
