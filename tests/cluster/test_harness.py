"""The parts of the harness that need no cluster."""

from __future__ import annotations

import io
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest

from tests.cluster import ClusterError, apt, cleanup, cluster, layers, oci, processes, requirements, s3, state
from tests.cluster.commands import run
from tests.cluster.progress import Console, Silent, step
from tests.cluster.settings import NODE_NETWORK, POD_NETWORK, SERVICE_NETWORK, Paths

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def own_marker(monkeypatch: pytest.MonkeyPatch) -> None:
    # A running `up` or `down` would take a test's process for another cluster.
    monkeypatch.setattr(processes, "MARKER", "VOLARY_TEST_MEMBER")


@pytest.fixture
def sleeper(tmp_path: Path) -> processes.Process:
    return processes.start("sleeper", ["sleep", "60"], log=tmp_path / "log", environment={}, owner=tmp_path)


def test_requirements_keep_what_the_images_python_needs() -> None:
    text = (
        "numpy==2.4.6 ; python_full_version < '3.12' \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"
        "numpy==2.5.5 ; python_full_version >= '3.12' \\\n    --hash=sha256:cc\n"
        "# a comment\nsix==1.17.0 \\\n    --hash=sha256:dd  # via dateutil\n"
    )
    kept = requirements.select(text).splitlines()
    assert [" ".join(line.split()) for line in kept] == [
        "numpy==2.4.6 --hash=sha256:aa --hash=sha256:bb",
        "six==1.17.0 --hash=sha256:dd",
    ]


def test_a_layer_is_the_same_whoever_packs_it(tmp_path: Path) -> None:
    digests = set()
    for name, order in (("one", "ab"), ("two", "ba")):
        tree = tmp_path / name
        tree.mkdir()
        for letter in order:
            (tree / letter).write_text(letter)
        digests.add(layers.pack(tmp_path / f"cache-{name}", "key", tree, "app").digest)
    assert len(digests) == 1
    packed = layers.cached(tmp_path / "cache-one", "key")
    assert packed is not None
    with tarfile.open(packed.file) as archive:
        assert [(entry.name, entry.uid, entry.mtime) for entry in archive] == [("app", 0, 0), ("app/a", 0, 0), ("app/b", 0, 0)]


def test_an_image_is_tagged_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    layer = layers.pack(tmp_path, "key", tmp_path / "tree")
    first, same, other = (oci.compose("volary.dev/x", [layer], {"User": user}) for user in ("1", "1", "2"))
    assert first.reference == same.reference != other.reference


def test_a_fingerprint_sees_content_and_name_but_not_compiled_files(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("1")
    first = layers.fingerprint(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_text("2")
    assert layers.fingerprint(tmp_path) == first
    (tmp_path / "a.py").rename(tmp_path / "b.py")
    assert layers.fingerprint(tmp_path) != first


def test_a_killed_process_is_dead_and_a_later_one_of_its_number_is_spared(sleeper: processes.Process) -> None:
    assert sleeper.alive
    stranger = processes.Process("stranger", sleeper.pid, sleeper.started - 1)
    processes.kill([stranger])
    assert sleeper.alive
    processes.kill([sleeper])
    assert not sleeper.alive


def test_an_unrecorded_process_is_found_by_its_marker(sleeper: processes.Process, tmp_path: Path) -> None:
    try:
        processes.wait_until(
            lambda: (tmp_path, sleeper.pid) in [(owner, process.pid) for owner, process in processes.marked()],
            what="the marker shows",
            deadline=5,
        )
    finally:
        processes.kill([sleeper])


def test_waiting_ends_when_the_process_ends_and_shows_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = processes.start("broken", [sys.executable, "-c", "raise SystemExit('no port')"], log=log, environment={}, owner=tmp_path)
    with pytest.raises(ClusterError, match=r"broken ended before it is up(?s:.*)no port"):
        processes.wait_until(lambda: False, what="it is up", deadline=20, process=process, log=log)


def test_waiting_ends_at_its_deadline() -> None:
    with pytest.raises(ClusterError, match="waited 0 s in vain until never"):
        processes.wait_until(lambda: False, what="never", deadline=0.1)


def test_a_failed_command_shows_its_words_and_its_last_lines() -> None:
    with pytest.raises(ClusterError, match=r"status 3:\nbad luck"):
        run([sys.executable, "-c", "import sys; print('bad luck', file=sys.stderr); sys.exit(3)"])


def test_a_command_gets_its_input_and_reports_its_lines() -> None:
    lines: list[str] = []
    code = "import sys; print(sys.stdin.read()); print('note', file=sys.stderr)"
    assert run([sys.executable, "-c", code], stdin="text", on_line=lines.append) == "text\n"
    assert lines == ["note"]


def test_a_missing_program_says_how_to_get_it() -> None:
    with pytest.raises(ClusterError, match="not installed"):
        run(["no-such-program-of-volary"])


def test_the_journal_survives_and_a_torn_one_is_empty(tmp_path: Path) -> None:
    process = processes.Process("etcd", 1, 2)
    written = state.State(created=("/x",), kernel={"vm/x": "1"}).with_process(process).marked_ready()
    state.save(tmp_path, written)
    assert state.load(tmp_path) == written
    (tmp_path / "state.json").write_text('{"processes": [')
    assert state.load(tmp_path) == state.State()


def test_a_brought_cluster_needs_its_storage_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kubeconfig = tmp_path / "config"
    kubeconfig.touch()
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    for name in ("VOLARY_S3_ENDPOINT", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ClusterError, match="also set VOLARY_S3_ENDPOINT, AWS_ACCESS_KEY_ID"):
        cluster.up()
    monkeypatch.setenv("VOLARY_S3_ENDPOINT", "http://s3:9000")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    brought = cluster.up()
    assert (brought.kubeconfig, brought.own) == (kubeconfig, False)
    assert brought.s3 == s3.S3("http://s3:9000", "id", "secret")
    assert "secret'" not in repr(brought)


def test_our_own_kubeconfig_is_no_brought_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VOLARY_STATE", str(tmp_path))
    monkeypatch.setenv("KUBECONFIG", str(Paths.from_environment().kubeconfig))
    assert cluster.brought() is None


def test_nothing_is_left_where_nothing_was(tmp_path: Path) -> None:
    own = [line for line in cleanup.leftovers(Paths(cache=tmp_path, state=tmp_path / "state")) if str(tmp_path) in line]
    assert own == []


def test_networks_do_not_overlap() -> None:
    assert not NODE_NETWORK.overlaps(POD_NETWORK)
    assert not POD_NETWORK.overlaps(SERVICE_NETWORK)


def test_progress_is_plain_lines_where_there_is_no_terminal() -> None:
    stream = io.StringIO()
    console = Console(stream)
    with step(console, "build"):
        console.note("too early to be shown")
    with pytest.raises(ClusterError), step(console, "start"):
        raise ClusterError
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert "build (0.0 s)" in lines[0]
    assert "FAILED: start" in lines[1]


def test_silence_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    with step(Silent(), "x"):
        pass
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("release", ["bookworm", "trixie"])
def test_the_images_suite_comes_from_the_machines_archive(monkeypatch: pytest.MonkeyPatch, release: str) -> None:
    rows = [
        f"Packages main {release}-security http://mirror.example/security/",
        f"Packages main {release} http://mirror.example/debian/",
        f"Packages main {release}-updates http://mirror.example/debian/",
    ]
    monkeypatch.setattr("platform.freedesktop_os_release", lambda: {"ID": "debian"})
    monkeypatch.setattr(apt, "run", lambda *_args, **_options: "\n".join(rows))
    monkeypatch.delenv("VOLARY_DEBIAN_MIRROR", raising=False)
    shown = [line.split("] ")[-1].removeprefix("deb ") for line in apt.sources("bookworm")]
    assert shown == [
        "http://mirror.example/debian/ bookworm main",
        "http://mirror.example/debian/ bookworm-updates main",
        "http://mirror.example/security/ bookworm-security main",
    ]
