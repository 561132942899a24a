"""Signed notes, checkpoints and their copies outside: what they are, when they come, and what gets them."""

import base64
import hashlib
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from audit_records import NOON, make_record
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from support.trail import Trail

from icapd.audit.database import Database
from icapd.audit.evidence import anchors, checkpoints
from icapd.audit.evidence.anchors import Anchors, anchors_for
from icapd.audit.evidence.checkpoints import IDLE, NONE_BEFORE, ROWS, Checkpoint, Notary, parse, sign
from icapd.audit.evidence.notes import (
    NoteError,
    Signer,
    Verifier,
    load_or_create_signer,
    signed_text,
)
from icapd.audit.shipping.destination import Destination
from icapd.errors import AuditError

SIGNER = Signer.generate()
TRUSTED = {SIGNER.verifier.id: SIGNER.verifier}
CHAIN = bytes(range(32))
CHECKPOINT = sign(SIGNER, 7, NOON, 12, CHAIN, NONE_BEFORE)

#: Of golang.org/x/mod/sumdb/note's documentation: a note that icapd had no part in.
OTHERS_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
OTHERS_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "\N{EM DASH} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FF"
    "YC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


def test_a_note_that_others_signed_is_understood() -> None:
    verifier = Verifier.parse(OTHERS_KEY)
    text = signed_text(OTHERS_NOTE, {verifier.id: verifier})
    assert text == OTHERS_NOTE.partition("\n\n")[0] + "\n"
    assert str(verifier) == OTHERS_KEY


def test_a_checkpoint_is_what_is_documented() -> None:
    lines = CHECKPOINT.note.split("\n")
    assert lines[:6] == [
        "icapd/7",
        "12",
        base64.b64encode(CHAIN).decode(),
        "2026-05-17T10:00:00.000000Z",
        base64.b64encode(bytes(32)).decode(),
        "",
    ]
    dash, name, encoded = lines[6].split(" ")
    signature = base64.b64decode(encoded)
    public = SIGNER.verifier.key
    assert (dash, name) == ("\N{EM DASH}", "icapd")
    assert signature[:4] == hashlib.sha256(b"icapd\n\x01" + public).digest()[:4]
    text = "".join(f"{line}\n" for line in lines[:5])
    Ed25519PublicKey.from_public_bytes(public).verify(signature[4:], text.encode())
    assert parse(CHECKPOINT.note, TRUSTED) == CHECKPOINT


@given(st.integers(0, len(CHECKPOINT.note) - 1), st.characters())
def test_a_note_changed_in_any_place_is_none(place: int, character: str) -> None:
    changed = CHECKPOINT.note[:place] + character + CHECKPOINT.note[place + 1 :]
    if changed != CHECKPOINT.note:
        with pytest.raises(NoteError):
            parse(changed, TRUSTED)


@given(st.text(max_size=300))
def test_whatever_is_no_note_is_said_to_be_none(text: str) -> None:
    for note in (text, f"{text}\n\n\N{EM DASH} icapd {text}\n"):
        with pytest.raises(NoteError):
            parse(note, TRUSTED)
    with pytest.raises(NoteError):
        Verifier.parse(text)
    with pytest.raises(NoteError):
        Signer.parse(f"PRIVATE+KEY+{text}")


def test_a_signed_text_that_is_no_checkpoint_is_none() -> None:
    with pytest.raises(NoteError, match="is no checkpoint"):
        parse(SIGNER.sign("hello\n"), TRUSTED)


def test_other_signatures_beside_ours_do_no_harm() -> None:
    other = Signer.generate()
    text = signed_text(CHECKPOINT.note, TRUSTED)
    both = CHECKPOINT.note + other.sign(text).removeprefix(f"{text}\n")
    assert signed_text(both, TRUSTED) == text
    with pytest.raises(NoteError, match="none of the trusted keys"):
        signed_text(other.sign(text), TRUSTED)


def test_the_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "signing.key"
    os.umask(umask := os.umask(0))
    os.umask(0)
    try:
        signer = load_or_create_signer(file)
    finally:
        os.umask(umask)
    assert file.stat().st_mode & 0o777 == 0o600
    assert load_or_create_signer(file).verifier == signer.verifier
    assert [path.name for path in tmp_path.iterdir()] == ["signing.key"]
    secret = file.read_text().split("+", 4)[-1].strip()
    assert secret not in repr(signer)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\xff\xfe", id="no text"),
        pytest.param(SIGNER.secret_text()[:-9].encode(), id="cut off"),
        pytest.param(str(SIGNER.verifier).encode(), id="the public one"),
        pytest.param(SIGNER.secret_text().replace("+icapd+", "+other+").encode(), id="another name"),
    ],
)
def test_a_broken_key_is_not_replaced(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "signing.key"
    file.write_bytes(content)
    with pytest.raises(AuditError, match="restore it from a backup") as caught:
        load_or_create_signer(file)
    assert file.read_bytes() == content
    assert SIGNER.secret_text().split("+")[-1][:20] not in str(caught.value)


def test_a_key_that_can_not_be_made_is_told(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match=r"signing_key: .*: No such file"):
        load_or_create_signer(tmp_path / "nowhere" / "signing.key")


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time_ns(self) -> int:
        return NOON * 1000


def test_checkpoints_come_after_rows_seconds_and_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(checkpoints, "time", clock)
    notary = Notary(SIGNER, Anchors())
    notary.learn(7, None)

    def due(seq: int, *, is_end: bool = False) -> bool:
        checkpoint = notary.due(7, seq, CHAIN, is_end=is_end)
        if checkpoint is not None:
            notary.stored(checkpoint)
        return checkpoint is not None

    assert [due(0), due(0, is_end=True)] == [False, False]
    assert [due(1), due(2), due(ROWS), due(1 + ROWS)] == [True, False, False, True]
    clock.now += checkpoints.SECONDS
    assert [due(1 + ROWS), due(2 + ROWS), due(2 + ROWS)] == [False, True, False]
    clock.now += IDLE
    assert [due(2 + ROWS), due(2 + ROWS)] == [True, False]
    assert [due(3 + ROWS, is_end=True), due(3 + ROWS, is_end=True)] == [True, False]


def test_checkpoints_name_each_other_and_go_on_after_a_restart(tmp_path: Path) -> None:
    trail = Trail.make(tmp_path)
    signer = load_or_create_signer(Path(trail.settings.signing_key))
    trusted = {signer.verifier.id: signer.verifier}
    with trail.writer() as writer:
        for _ in range(3):
            writer.write(make_record())
            with closing(trail.shipper()) as shipper:
                shipper.round()
    trail.ship()
    notes = [note for (note,) in trail.rows("SELECT note FROM audit_checkpoint ORDER BY signed_at")]
    found = [parse(note, trusted) for note in notes]
    assert [one.writer_seq for one in found] == [2, 3, 4, 5]
    assert [one.previous for one in found] == [NONE_BEFORE, *(one.digest for one in found[:-1])]


def test_their_times_go_forward_whatever_the_clock_does() -> None:
    notary = Notary(SIGNER, Anchors())
    future = sign(SIGNER, 7, NOON * 2, 1, CHAIN, NONE_BEFORE)
    notary.learn(7, (1, NOON * 2, future.note))
    checkpoint = notary.due(7, 2, CHAIN, is_end=True)
    assert checkpoint is not None
    assert (checkpoint.signed_at, checkpoint.previous) == (NOON * 2 + 1, future.digest)


def sent(file: str = "", syslog: str = "", url: str = "") -> list[str]:
    """The problems after one checkpoint was sent."""
    places = anchors_for(file, syslog, url)
    places.put(CHECKPOINT.note)
    places.close()
    return places.problems


def test_a_file_gets_copies_behind_whatever_is_in_it(tmp_path: Path) -> None:
    file = tmp_path / "anchors"
    assert sent(str(file)) == []
    with file.open("a") as torn:
        torn.write(CHECKPOINT.note[:40])
    assert sent(str(file)) == []
    assert sent(str(file)) == []
    assert list(anchors.read(file)) == [CHECKPOINT.note] * 3
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("scheme", ["unix", "udp"])
def test_syslog_gets_copies_that_can_be_read_from_its_log(tmp_path: Path, scheme: str) -> None:
    place: Any = str(tmp_path / "log") if scheme == "unix" else ("127.0.0.1", 0)
    family = socket.AF_UNIX if scheme == "unix" else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as server:
        server.bind(place)
        server.settimeout(10)
        address = f"unix:{place}" if scheme == "unix" else f"udp://127.0.0.1:{server.getsockname()[1]}"
        assert sent(syslog=address) == []
        message = server.recv(4096).decode()
    assert message.startswith("<109>1 - - icapd - checkpoint - icapd/7\\n12\\n")
    assert "\n" not in message
    log = tmp_path / "syslog"
    log.write_text(f"something else\n{message}\nNov 28 23:00:00 host icapd: hello\n")
    assert list(anchors.read(log)) == [CHECKPOINT.note]


@contextmanager
def answering(answer: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """A server's port, and what it was sent until it gave that answer to one client."""
    seen: list[bytes] = []

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            data = b""
            while CHECKPOINT.note.encode() not in data:
                data += connection.recv(4096)
            seen.append(data)
            connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        serving = threading.Thread(target=serve)
        serving.start()
        yield server.getsockname()[1], seen
        serving.join()


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        pytest.param(b"HTTP/1.1 204 No Content\r\n\r\n", "", id="taken"),
        pytest.param(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", "answered 500", id="refused"),
        pytest.param(b"hello\r\n", "is no HTTP (BadStatusLine)", id="no HTTP"),
    ],
)
def test_a_web_server_gets_copies(answer: bytes, problem: str) -> None:
    with answering(answer) as (port, seen):
        problems = sent(url=f"http://127.0.0.1:{port}/anchors?token=secret")
    place = "[audit] anchor_url: http://127.0.0.1/anchors"
    assert problems == ([f"{place}: {problem}"] if problem else [])
    head, _, body = seen[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /anchors?token=secret HTTP/1.1\r\n")
    assert body.decode() == CHECKPOINT.note


@pytest.mark.parametrize(
    "url", ["ftp://host/", "https:///x", "https://u:p@host/", "https://h:99999/", "host"]
)
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(AuditError, match="anchor_url: write https") as caught:
        anchors_for("", "", url)
    assert url not in str(caught.value)


def test_what_can_not_be_sent_is_a_problem_until_it_can(tmp_path: Path) -> None:
    directory = tmp_path / "away"
    places = anchors_for(str(directory / "anchors"), f"unix:{tmp_path}/nobody")
    places.put(CHECKPOINT.note)
    places.close()
    assert len(places.problems) == 2
    assert all(problem.endswith("No such file or directory") for problem in places.problems)
    directory.mkdir()
    later = anchors_for(str(directory / "anchors"), "")
    later._problems = {f"[audit] anchor_file: {directory}/anchors": "gone"}
    later.put(CHECKPOINT.note)
    later.close()
    assert later.problems == []


def test_a_place_that_hangs_holds_nothing_up(tmp_path: Path) -> None:
    """A pipe that nobody reads: opening it waits for ever."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    places = anchors_for(str(pipe), "")
    for _ in range(2000):
        places.put(CHECKPOINT.note)
    assert places.problems == ["anchors are behind: checkpoints are left out"]
    # Ends, however much waits.
    places.close()


@pytest.mark.parametrize("address", ["tcp://host:1", "udp:host:514", "udp://host", "udp://:514", "unix:"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(AuditError, match="write udp://HOST:PORT or unix:/dev/log"):
        anchors_for("", address)


class Forgetful(Destination):
    """Does what it is told, and says that it failed: with rows some times, else always."""

    failures = 3

    def ship(self, *arguments: Any, **options: Any) -> None:
        super().ship(*arguments, **options)
        if self.failures:
            self.failures -= 1
            raise AuditError("the answer to COMMIT was lost")

    def state(self, checkpoint: Checkpoint) -> None:
        super().state(checkpoint)
        raise AuditError("the answer to COMMIT was lost")


def test_a_lost_answer_tears_no_checkpoint_from_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "IDLE", 0.0)
    trail = Trail.make(tmp_path)
    destination = Forgetful(Database.parse(trail.url))
    with trail.writer() as writer, closing(trail.shipper()) as shipper:
        shipper._destination = destination
        for _ in range(Forgetful.failures):
            writer.write_all(("final", make_record()) for _ in range(ROWS))
            with pytest.raises(AuditError):
                shipper.round()
        assert shipper.round()
        for _ in range(3):
            with pytest.raises(AuditError):
                shipper.round()
    trail.ship()
    report = trail.verify()
    assert (report.faults, report.unsigned) == ([], 0)
    assert report.checkpoints > Forgetful.failures
