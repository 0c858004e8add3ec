"""A bundle as one zip file, of which every byte follows from the bundle. Pure: headers as bytes, no file.

The entries are stored, not deflated, in one order (manifest, signature if there is one, files by
path), with one time and one mode. So the same bundle is the same file everywhere, and whoever reads
one knows beforehand every byte but the contents and their CRCs: what differs is refused, and no
trick of zip files needs a defence of its own.

Any unzip reads it. Layout: PKWARE APPNOTE.TXT 6.3.10, sections 4.3.7 (local header), 4.3.12
(central directory), 4.3.14 to 4.3.16 (its end), 4.5.3 (zip64).
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from volary.bundle import limits, paths
from volary.bundle.manifest import Manifest
from volary.common.errors import Refused
from volary.common.reasons import Reason

FIXED = 30  # bytes of a local header before the name
_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_ENTRY, _LISTED = b"PK\x03\x04", b"PK\x01\x02"
_MOST = 0xFFFFFFFF  # in a field of 32 bits: look into the zip64 field
_PLAIN, _ZIP64 = 20, 45  # version needed to extract
_UNIX = 3 << 8
_DATE = (1 << 5) | 1  # 1980-01-01, the first day of a zip file
_REGULAR = 0o100644 << 16
_ENCRYPTED, _SIZE_LATER = 1, 8  # flags
_EXTRA_MOST = 64  # bytes; ours has 20
_LINK = 0o12  # the type in the mode of a symbolic link


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: where its header is, and how many bytes its content has."""

    name: str
    size: int
    offset: int

    @property
    def end(self) -> int:
        """Where the next one begins."""
        return self.offset + len(header(self, 0)) + self.size


def entries(manifest: Manifest, manifest_size: int, signature_size: int | None) -> tuple[Entry, ...]:
    """All entries of the bundle's archive, in their order."""
    sizes = [(paths.MANIFEST, manifest_size)]
    if signature_size is not None:
        sizes.append((paths.SIGNATURE, signature_size))
    sizes += sorted((file.path, file.size) for file in manifest.files)
    found: list[Entry] = []
    for name, size in sizes:
        found.append(Entry(name, size, found[-1].end if found else 0))
    return tuple(found)


def header(entry: Entry, crc: int) -> bytes:
    """What stands before an entry's content."""
    name, large = entry.name.encode("ascii"), entry.size >= _MOST
    size = _MOST if large else entry.size
    extra = struct.pack("<2H2Q", 1, 16, entry.size, entry.size) if large else b""
    return _LOCAL.pack(_ENTRY, _ZIP64 if large else _PLAIN, 0, 0, 0, _DATE, crc, size, size, len(name), len(extra)) + name + extra


def directory(found: Sequence[Entry], crcs: Sequence[int]) -> bytes:
    """What stands after the last content: the list of all entries, and its end."""
    listed = b"".join(_listed(entry, crc) for entry, crc in zip(found, crcs, strict=True))
    start, count = found[-1].end, len(found)
    end64 = b""
    if start >= _MOST:
        end64 = _END64.pack(b"PK\x06\x06", _END64.size - 12, _UNIX | _ZIP64, _ZIP64, 0, 0, count, count, len(listed), start)
        end64 += _LOCATOR.pack(b"PK\x06\x07", 0, start + len(listed), 1)
    return listed + end64 + _END.pack(b"PK\x05\x06", 0, 0, count, count, len(listed), min(start, _MOST), 0)


def rest_of_header(fixed: bytes) -> int:
    """Bytes of name and extra field after the first 30 of a header. Raises Refused before much is read."""
    if len(fixed) < FIXED or not fixed.startswith(_ENTRY):
        return 0
    *_, name, extra = _LOCAL.unpack(fixed)
    if name > limits.PATH_BYTES or extra > _EXTRA_MOST:
        _invalid(f"an entry has a name of {name} bytes and {extra} bytes of extra fields")
    return int(name + extra)


def size_in(raw: bytes) -> int:
    """The size a whole header claims."""
    return int(_LOCAL.unpack(raw[:FIXED])[8])


def crc_in(raw: bytes) -> int:
    """The CRC a whole header claims."""
    return int(_LOCAL.unpack(raw[:FIXED])[6])


def name_in(raw: bytes) -> str:
    """The name in a header, or an empty string where there is none."""
    if len(raw) < FIXED or not raw.startswith(_ENTRY):
        return ""
    length = _LOCAL.unpack(raw[:FIXED])[9]
    return raw[FIXED : FIXED + length].decode("latin-1")


def check_header(raw: bytes, entry: Entry, seen: Sequence[str]) -> None:
    """Raise Refused unless these are the bytes of this entry's header, whatever its CRC.

    `seen` are the names before it.
    """
    shown = paths.show(entry.name)
    if raw.startswith((_LISTED, b"PK\x05\x06", b"PK\x06\x06")) and len(raw) == FIXED:
        raise Refused(Reason.FILE_NOT_FOUND, f"the archive ends before {shown}, which the manifest names")
    if len(raw) < FIXED or not raw.startswith(_ENTRY):
        _invalid(f"there is no entry where {shown} must begin, at byte {entry.offset}")
    if name_in(raw) != entry.name:
        _refuse_name(name_in(raw), seen, f"{shown} comes now")
    _, _, flags, method, _, _, crc, packed, size, _, _ = _LOCAL.unpack(raw[:FIXED])
    if flags & _ENCRYPTED:
        _invalid(f"{shown} is encrypted")
    if flags & _SIZE_LATER:
        _invalid(f"{shown} tells its size only after its content")
    if method:
        _invalid(f"{shown} is compressed (method {method}); it must be stored, so that nothing can grow when it is read")
    wanted = header(entry, crc)
    if min(entry.size, _MOST) != size or size != packed:
        raise Refused(Reason.SIZE_MISMATCH, f"{shown} has {size} bytes in the archive, stored as {packed}, and must have {entry.size}")
    if raw != wanted:
        _invalid(f"the header of {shown} has other fields than `volary export` writes")


def check_directory(raw: bytes, found: Sequence[Entry], crcs: Sequence[int]) -> None:
    """Raise Refused unless these bytes, and not one more, stand after the last content."""
    wanted = directory(found, crcs)
    if raw == wanted:
        return
    if raw.startswith(_ENTRY):
        _refuse_name(name_in(raw), [entry.name for entry in found], "the manifest names no more files")
    if raw.startswith(wanted):
        _invalid("it goes on after its end")
    if wanted.startswith(raw):
        _invalid("it ends too early")
    position = 0
    for entry, crc in zip(found, crcs, strict=True):
        listed = _listed(entry, crc)
        there = raw[position : position + len(listed)]
        if there != listed:
            _invalid(f"its directory says something else of {paths.show(entry.name)} than the entry itself{_if_link(there)}")
        position += len(listed)
    _invalid("the end of its directory is not the one that belongs to its entries")


def _listed(entry: Entry, crc: int) -> bytes:
    name, far = entry.name.encode("ascii"), [value for value in (entry.size, entry.size, entry.offset) if value >= _MOST]
    extra = struct.pack(f"<2H{len(far)}Q", 1, 8 * len(far), *far) if far else b""
    version, size, offset = _ZIP64 if far else _PLAIN, min(entry.size, _MOST), min(entry.offset, _MOST)
    fields = (_UNIX | version, version, 0, 0, 0, _DATE, crc, size, size, len(name), len(extra), 0, 0, 0, _REGULAR, offset)
    return _CENTRAL.pack(_LISTED, *fields) + name + extra


def _if_link(listed: bytes) -> str:
    if len(listed) < _CENTRAL.size or not listed.startswith(_LISTED):
        return ""
    return ": a symbolic link" if _CENTRAL.unpack(listed[: _CENTRAL.size])[15] >> 28 == _LINK else ""


def _refuse_name(name: str, seen: Sequence[str], why: str) -> NoReturn:
    if name in seen:
        _invalid(f"{paths.show(name)} is in it twice")
    paths.check(name)
    raise Refused(Reason.EXTRA_FILE, f"the archive holds {paths.show(name)} where it must not be: {why}")


def _invalid(message: str) -> NoReturn:
    raise Refused(Reason.ARCHIVE_INVALID, f"the archive is not as `volary export` writes it: {message}")
