"""Export writes one and the same zip; import takes that and nothing else, however the zip was bent."""

import io
import os
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support import keys
from tests.unit.bundle import building
from tests.unit.trust import bundles
from volary.bundle import archive as layout
from volary.bundle import limits, manifest, paths
from volary.bundle.archive import Entry
from volary.cli.main import main
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.packaging import Bundle, archive, signing
from volary.packaging.signing import Signer, Trust

DATA = {"vocabulary/words.txt": b"yes\nno\n", "weights.bin": bytes(range(256)) * 20, "empty.bin": b""}


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> keys.Pair:
    return keys.pair(tmp_path_factory.mktemp("key"))


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return bundles.make(tmp_path / "bundle", data=DATA)


@pytest.fixture
def good(bundle: Bundle) -> bytes:
    return exported(bundle)


def exported(bundle: Bundle) -> bytes:
    output = bundle.path.parent / "model.zip"
    archive.export(bundle.data, signing.read(bundle.path), archive.local(bundle), output)
    return output.read_bytes()


def tree(path: Path) -> dict[str, bytes]:
    return {each.relative_to(path).as_posix(): each.read_bytes() for each in path.rglob("*") if each.is_file()}


def refused(data: bytes, path: Path) -> Refused:
    """Import it somewhere; whatever it was, nothing may be left, nowhere."""
    box = path / "box"
    box.mkdir(exist_ok=True)
    (path / "bad.zip").write_bytes(data)
    before = {each: each.stat().st_mtime_ns for each in path.rglob("*") if each.is_file()}
    with pytest.raises(Refused) as caught:
        archive.import_(path / "bad.zip", box / "output")
    assert list(box.iterdir()) == []
    assert {each: each.stat().st_mtime_ns for each in path.rglob("*") if each.is_file()} == before
    return caught.value


# ---- the right way ----------------------------------------------------------------------------


def test_out_and_in_again(bundle: Bundle, good: bytes, tmp_path: Path) -> None:
    found = archive.import_(tmp_path / "model.zip", tmp_path / "again")
    assert found.digest == bundle.digest
    assert tree(tmp_path / "again") == tree(bundle.path)
    assert exported(found) == good


def test_the_same_bundle_is_the_same_bytes(bundle: Bundle, good: bytes, tmp_path: Path) -> None:
    shutil.copytree(bundle.path, tmp_path / "elsewhere" / "copy")
    for path in (tmp_path / "elsewhere").rglob("*"):
        os.utime(path, (1, 1))
    (tmp_path / "elsewhere" / "copy" / "model.onnx").chmod(0o700)
    assert exported(bundles.bundles.load(tmp_path / "elsewhere" / "copy")) == good


def test_any_unzip_reads_it(bundle: Bundle, good: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(good)) as found:
        assert found.testzip() is None
        assert found.namelist() == [paths.MANIFEST, *sorted(file.path for file in bundle.manifest.files)]
        assert {each.filename: found.read(each) for each in found.infolist()} == tree(bundle.path)
        assert {(each.compress_type, each.date_time, each.external_attr >> 16) for each in found.infolist()} == {
            (zipfile.ZIP_STORED, (1980, 1, 1, 0, 0, 0), 0o100644)
        }


def test_the_signature_goes_along(bundle: Bundle, key: keys.Pair, tmp_path: Path) -> None:
    signing.sign_bundle(bundle.path, Signer(key.private))
    exported(bundle)
    assert zipfile.ZipFile(tmp_path / "model.zip").namelist()[:2] == [paths.MANIFEST, paths.SIGNATURE]
    archive.import_(tmp_path / "model.zip", tmp_path / "again", trust=Trust(key.public))
    assert tree(tmp_path / "again") == tree(bundle.path)


@pytest.mark.parametrize("signed", [True, False])
def test_whom_nobody_trusts_is_not_imported(bundle: Bundle, key: keys.Pair, tmp_path: Path, signed: bool) -> None:
    if signed:
        signing.sign_bundle(bundle.path, Signer(keys.pair(tmp_path, "other").private))
    exported(bundle)
    with pytest.raises(Refused) as caught:
        archive.import_(tmp_path / "model.zip", tmp_path / "again", trust=Trust(key.public))
    assert caught.value.reason is (Reason.SIGNATURE_UNTRUSTED if signed else Reason.SIGNATURE_MISSING)
    assert not (tmp_path / "again").exists()


def test_from_the_command_line(bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    zipped, again = str(tmp_path / "model.zip"), str(tmp_path / "again")
    assert main(["export", str(bundle.path), "-o", zipped]) == 0
    assert main(["import", zipped, "-o", again, "--digest", bundle.digest]) == 0
    assert capsys.readouterr().out == f"{bundle.digest}\n{again}\n{bundle.digest}\n"
    assert main(["import", zipped, "-o", again]) == 1
    assert "(NameConflict)" in capsys.readouterr().err
    assert main(["import", zipped, "-o", str(tmp_path / "other"), "--digest", "sha256:0"]) == 1
    assert "(ManifestDigestMismatch)" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_a_spoilt_bundle_is_not_exported(bundle: Bundle, tmp_path: Path) -> None:
    for content, reason in (
        (b"x", Reason.SIZE_MISMATCH),
        (b"x" * len(building.MODEL), Reason.DIGEST_MISMATCH),
        (b"x" * 9999, Reason.SIZE_MISMATCH),
    ):
        (bundle.path / "model.onnx").write_bytes(content)
        with pytest.raises(Refused) as caught:
            exported(bundle)
        assert caught.value.reason is reason
    assert [each.name for each in tmp_path.iterdir()] == ["bundle"]


def test_a_signature_left_from_an_earlier_pack_is_not_exported(bundle: Bundle, key: keys.Pair, tmp_path: Path) -> None:
    signing.sign_bundle(bundle.path, Signer(key.private))
    again = bundles.make(bundle.path, data=DATA | {"weights.bin": b"new"})
    with pytest.raises(Refused) as caught:
        exported(again)
    assert caught.value.reason is Reason.SIGNATURE_MISMATCH


def test_more_than_four_gigabytes_is_as_unzip_wants_it(tmp_path: Path) -> None:
    """A sparse file: only the headers are written, and Python's zipfile must find them."""
    entries: list[Entry] = []
    for name, size in (("a", 5 * limits.GIB), ("b", 0xFFFFFFFF), ("c", 0xFFFFFFFE), ("d", 7)):
        entries.append(Entry(name, size, entries[-1].end if entries else 0))
    with (tmp_path / "large.zip").open("wb") as stream:
        for entry in entries:
            stream.seek(entry.offset)
            stream.write(layout.header(entry, 7))
        stream.seek(entries[-1].end)
        stream.write(layout.directory(entries, [7] * 4))
    with zipfile.ZipFile(tmp_path / "large.zip") as found:
        assert [(each.filename, each.file_size, each.header_offset) for each in found.infolist()] == [
            (entry.name, entry.size, entry.offset) for entry in entries
        ]
        with found.open("a") as first:
            assert first.read(4) == b"\0\0\0\0"
    for entry in entries:
        layout.check_header(layout.header(entry, 9), entry, ())


# ---- hostile ----------------------------------------------------------------------------------


def position(data: bytes, name: str) -> int:
    """Where the header of an entry begins."""
    with zipfile.ZipFile(io.BytesIO(data)) as found:
        return found.getinfo(name).header_offset


def patched(data: bytes, offset: int, value: bytes) -> bytes:
    return data[:offset] + value + data[offset + len(value) :]


def rezipped(good: bytes, change: Callable[[zipfile.ZipFile, zipfile.ZipInfo, bytes], None]) -> bytes:
    """What another program might make of the same contents; `change` writes each entry."""
    output = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(good)) as source, zipfile.ZipFile(output, "w") as target:
        for info in source.infolist():
            change(target, info, source.read(info))
    return output.getvalue()


def inserted(good: bytes, name: str, content: bytes = b"x", *, before: str | None = None) -> bytes:
    """One entry more, with all offsets right."""
    output = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(good)) as source, zipfile.ZipFile(output, "w") as target:
        for info in source.infolist():
            if info.filename == before:
                target.writestr(zipfile.ZipInfo(name), content)
            target.writestr(info, source.read(info))
        if before is None:
            target.writestr(zipfile.ZipInfo(name), content)
    return output.getvalue()


NAMES = [
    ("../outside", Reason.NAME_INVALID),
    ("/etc/cron.d/x", Reason.NAME_INVALID),
    ("a/../../x", Reason.NAME_INVALID),
    ("..\\x", Reason.NAME_INVALID),
    ("C:x", Reason.NAME_INVALID),
    ("a\nb", Reason.NAME_INVALID),
    (".hidden", Reason.NAME_INVALID),
    ("directory/", Reason.NAME_INVALID),
    ("extra.bin", Reason.EXTRA_FILE),
    ("x" * 101, Reason.LIMIT_EXCEEDED),
]


@pytest.mark.parametrize(("name", "reason"), NAMES, ids=[ascii(name)[:20] for name, _ in NAMES])
@pytest.mark.parametrize("before", [None, "model.onnx"], ids=["last", "among"])
def test_a_name_the_manifest_does_not_have(good: bytes, tmp_path: Path, name: str, reason: Reason, before: str | None) -> None:
    assert refused(inserted(good, name, before=before), tmp_path).reason is reason


@pytest.mark.parametrize("before", [None, "model.onnx"], ids=["last", "among"])
def test_a_name_too_long_for_any_file(good: bytes, tmp_path: Path, before: str | None) -> None:
    assert refused(inserted(good, "x" * 300, before=before), tmp_path).reason in (Reason.ARCHIVE_INVALID, Reason.LIMIT_EXCEEDED)


@pytest.mark.parametrize("name", ["../model.onnx", "/tmp/x.onnxx", "model.onny"])
def test_a_name_in_place_of_the_manifests(good: bytes, tmp_path: Path, name: str) -> None:
    def rename(target: zipfile.ZipFile, info: zipfile.ZipInfo, content: bytes) -> None:
        info.filename = name if info.filename == "model.onnx" else info.filename
        target.writestr(info, content)

    assert refused(rezipped(good, rename), tmp_path).reason in (Reason.NAME_INVALID, Reason.EXTRA_FILE)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ["model.onnx", "manifest.json"])
@pytest.mark.parametrize("before", [None, "weights.bin"])
def test_the_same_name_twice(good: bytes, tmp_path: Path, name: str, before: str | None) -> None:
    error = refused(inserted(good, name, before=before), tmp_path)
    assert error.reason is Reason.ARCHIVE_INVALID
    assert "twice" in error.message


def test_a_file_that_is_missing(good: bytes, tmp_path: Path) -> None:
    for missing in ("weights.bin", "model.onnx"):

        def leave_out(target: zipfile.ZipFile, info: zipfile.ZipInfo, content: bytes, missing: str = missing) -> None:
            if info.filename != missing:
                target.writestr(info, content)

        reason = refused(rezipped(good, leave_out), tmp_path).reason
        assert reason is (Reason.FILE_NOT_FOUND if missing == "weights.bin" else Reason.EXTRA_FILE)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_is_compressed_cannot_grow(good: bytes, tmp_path: Path, method: int) -> None:
    def compress(target: zipfile.ZipFile, info: zipfile.ZipInfo, content: bytes) -> None:
        target.writestr(info, content, method if info.filename == "model.onnx" else zipfile.ZIP_STORED)

    error = refused(rezipped(good, compress), tmp_path)
    assert error.reason is Reason.ARCHIVE_INVALID
    assert "is compressed" in error.message or "tells its size" in error.message or "is encrypted" in error.message


def test_a_bomb_in_place_of_the_manifest(tmp_path: Path) -> None:
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr("manifest.json", b" " * 8 * limits.MIB)
    assert len(output.getvalue()) < 10_000
    assert refused(output.getvalue(), tmp_path).reason is Reason.LIMIT_EXCEEDED


def test_a_manifest_that_claims_to_be_huge(good: bytes, tmp_path: Path) -> None:
    claimed = struct.pack("<2L", *[limits.MANIFEST_BYTES + 1] * 2)
    assert refused(patched(good, 18, claimed), tmp_path).reason is Reason.LIMIT_EXCEEDED


def test_sizes_that_together_fill_the_disk(bundle: Bundle, good: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=bundle.manifest.size - 1))
    assert refused(good, tmp_path).reason is Reason.DISK_FULL


def test_a_manifest_of_the_attackers_with_names_that_leave(tmp_path: Path) -> None:
    data = manifest.dump(building.manifest()).replace(b"model.onnx", b"../../evil")
    entry = Entry("manifest.json", len(data), 0)
    assert refused(layout.header(entry, zlib.crc32(data)) + data, tmp_path).reason is Reason.NAME_INVALID


def test_a_manifest_that_names_its_own_signature(tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        manifest.check(building.manifest(data={"manifest.json.sig": b"x"}))
    assert caught.value.reason is Reason.NAME_CONFLICT


@pytest.mark.parametrize("name", ["model.onnx", "manifest.json"])
def test_encrypted(good: bytes, tmp_path: Path, name: str) -> None:
    error = refused(patched(good, position(good, name) + 6, b"\x01\x00"), tmp_path)
    assert (error.reason, "encrypted" in error.message) == (Reason.ARCHIVE_INVALID, True)


def test_sizes_told_later(good: bytes, tmp_path: Path) -> None:
    error = refused(patched(good, position(good, "model.onnx") + 6, b"\x08\x00"), tmp_path)
    assert (error.reason, "only after" in error.message) == (Reason.ARCHIVE_INVALID, True)


def test_a_wrong_crc(good: bytes, tmp_path: Path) -> None:
    for name in ("manifest.json", "model.onnx", "weights.bin"):
        error = refused(patched(good, position(good, name) + 14, b"\1\2\3\4"), tmp_path)
        assert (error.reason, "CRC" in error.message) == (Reason.ARCHIVE_INVALID, True)


def test_a_flipped_byte_with_the_right_crc(bundle: Bundle, good: bytes, tmp_path: Path) -> None:
    def flip(target: zipfile.ZipFile, info: zipfile.ZipInfo, content: bytes) -> None:
        target.writestr(info, content[:-1] + b"\0" if info.filename == "weights.bin" else content)

    assert refused(rezipped(good, flip), tmp_path).reason is Reason.DIGEST_MISMATCH


@pytest.mark.parametrize("size", [0, 1, len(building.MODEL) - 1, len(building.MODEL) + 1, 0xFFFFFFFF])
def test_a_size_that_is_not_the_manifests(good: bytes, tmp_path: Path, size: int) -> None:
    offset = position(good, "model.onnx") + 18
    assert refused(patched(good, offset, struct.pack("<2L", size, size)), tmp_path).reason is Reason.SIZE_MISMATCH
    assert refused(patched(good, offset, struct.pack("<L", size)), tmp_path).reason is Reason.SIZE_MISMATCH
    assert refused(patched(good, offset + 4, struct.pack("<L", size)), tmp_path).reason is Reason.SIZE_MISMATCH


def test_zip64_that_lies(good: bytes, tmp_path: Path) -> None:
    """The field of 32 bits says `look there`, and there stands a terabyte."""
    start = position(good, "model.onnx")
    raw = bytearray(good[start : start + 40])
    raw[18:26] = b"\xff" * 8
    raw[28:30] = struct.pack("<H", 20)
    extra = struct.pack("<2H2Q", 1, 16, 2**40, 2**40)
    assert refused(good[:start] + bytes(raw) + extra + good[start + 40 :], tmp_path).reason is Reason.SIZE_MISMATCH


def test_zip64_without_need(good: bytes, tmp_path: Path) -> None:
    output = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(good)) as source, zipfile.ZipFile(output, "w") as target:
        for info in source.infolist():
            content = source.read(info)
            with target.open(info, "w", force_zip64=info.filename == "model.onnx") as stream:
                stream.write(content)
    assert refused(output.getvalue(), tmp_path).reason in (Reason.SIZE_MISMATCH, Reason.ARCHIVE_INVALID)


def test_more_extra_fields_than_any_entry_needs(good: bytes, tmp_path: Path) -> None:
    assert refused(patched(good, position(good, "model.onnx") + 28, b"\xff\xff"), tmp_path).reason is Reason.ARCHIVE_INVALID


def test_what_goes_on_after_the_end(good: bytes, tmp_path: Path) -> None:
    for more in (b"\0", b"#!/bin/sh\n", good):
        error = refused(good + more, tmp_path)
        assert (error.reason, "goes on" in error.message) == (Reason.ARCHIVE_INVALID, True)


def test_what_stands_before_the_beginning(good: bytes, tmp_path: Path) -> None:
    assert refused(b"MZ" + good, tmp_path).reason is Reason.ARCHIVE_INVALID


def test_every_truncation(good: bytes, tmp_path: Path) -> None:
    for size in {*range(0, len(good), 97), *range(len(good) - 30, len(good))}:
        found = refused(good[:size], tmp_path).reason
        assert found in (Reason.ARCHIVE_INVALID, Reason.SIZE_MISMATCH, Reason.FILE_NOT_FOUND)


def central(good: bytes, name: str) -> int:
    """Where the directory tells of an entry."""
    return good.index(name.encode(), good.index(b"PK\x01\x02")) - 46


def test_a_symbolic_link(good: bytes, tmp_path: Path) -> None:
    """A link's target is its content, so only the mode in the directory makes one of a file."""
    error = refused(patched(good, central(good, "model.onnx") + 38, struct.pack("<L", 0o120777 << 16)), tmp_path)
    assert (error.reason, "a symbolic link" in error.message) == (Reason.ARCHIVE_INVALID, True)


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        (10, b"\x08\x00"),  # another method
        (16, b"\0\0\0\0"),  # another CRC
        (20, b"\0\0\0\0"),  # another size
        (24, b"\xff\xff\xff\xff"),
        (32, b"\x01\x00"),  # a comment
        (42, b"\0\0\0\0"),  # another entry's header
        (46, b"../evil"),  # another name
    ],
)
def test_a_directory_that_disagrees_with_the_entry(good: bytes, tmp_path: Path, offset: int, value: bytes) -> None:
    error = refused(patched(good, central(good, "model.onnx") + offset, value), tmp_path)
    assert error.reason is Reason.ARCHIVE_INVALID
    assert "'model.onnx'" in error.message


def test_an_end_that_disagrees_with_the_directory(good: bytes, tmp_path: Path) -> None:
    for offset in range(18):
        at = len(good) - 18 + offset
        assert refused(patched(good, at, bytes([good[at] ^ 1])), tmp_path).reason is Reason.ARCHIVE_INVALID


def test_no_zip_at_all(tmp_path: Path) -> None:
    for data in (b"", b"x", b"PK\x05\x06" + b"\0" * 18, b"\x1f\x8b" + b"\0" * 100, b"<html>" * 20):
        assert refused(data, tmp_path).reason in (Reason.ARCHIVE_INVALID, Reason.FILE_NOT_FOUND)


def test_an_output_that_is_a_link_is_not_followed(bundle: Bundle, good: bytes, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Refused) as caught:
        archive.import_(tmp_path / "model.zip", tmp_path / "link")
    assert caught.value.reason is Reason.NAME_CONFLICT
    assert list((tmp_path / "elsewhere").iterdir()) == []


EDITS = st.lists(
    st.one_of(
        st.tuples(st.just("flip"), st.integers(0, 2**31), st.binary(min_size=1, max_size=4)),
        st.tuples(st.just("insert"), st.integers(0, 2**31), st.binary(min_size=1, max_size=40)),
        st.tuples(st.just("remove"), st.integers(0, 2**31), st.binary(min_size=1, max_size=40)),
        st.tuples(st.just("repeat"), st.integers(0, 2**31), st.binary(min_size=1, max_size=200)),
    ),
    min_size=1,
    max_size=3,
)


def edited(data: bytes, edits: list[tuple[str, int, bytes]]) -> bytes:
    for kind, where, value in edits:
        at = where % (len(data) + 1)
        match kind:
            case "flip":
                data = patched(data, at, value)
            case "insert":
                data = data[:at] + value + data[at:]
            case "remove":
                data = data[:at] + data[at + len(value) :]
            case _:
                data = data[:at] + data[at : at + len(value)] + data[at:]
    return data


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=EDITS)
def test_whatever_is_done_to_a_zip_it_is_refused_or_the_same_bundle(
    edits: list[tuple[str, int, bytes]], good: bytes, tmp_path: Path
) -> None:
    data = edited(good, edits)
    if data != good:
        refused(data, tmp_path)
