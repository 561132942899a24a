"""No secret is at rest anywhere: a thousand of them through a real server, and then every byte that is left.

A secret is looked for as it is, in small letters, as base64 at all three alignments, percent-encoded, escaped
as in JSON, in hexadecimal, and by its halves.
"""

import base64
import gzip
import json
import random
import signal
import socket
import string
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from urllib.parse import quote
from urllib.request import urlopen
from zlib import crc32

import pytest
from click.testing import CliRunner
from support import wire
from support.adapting import response
from support.icapd import ICAPD, PATIENCE, Server, ask, serving
from support.places import free_port

from icapd.cli import main

COUNT = 1000
SEED = 20260517
#: Shorter halves of a secret are not looked for: they may be there by chance, or shown by a mask.
MIN_HALF = 8
MARKER = b"raise-an-internal-error"
#: Makes every worker fail on a body with the marker, by an error that quotes it.
SITE = f"""
import icapd.services.buffered as buffered
real = buffered.read_buffered
def read_buffered(inspector, plan, raw, **options):
    if {MARKER!r} in raw:
        raise ValueError(raw.decode())
    return real(inspector, plan, raw, **options)
buffered.read_buffered = read_buffered
"""


def secrets() -> list[str]:
    """Access tokens with their checksum, which rules find wherever they stand."""
    source = random.Random(SEED)
    alphabet = string.ascii_letters + string.digits
    return [_token("".join(source.choices(alphabet, k=30))) for _ in range(COUNT)]


def _token(text: str) -> str:
    number, check = crc32(text.encode()), ""
    digits = string.digits + string.ascii_uppercase + string.ascii_lowercase
    for _ in range(6):
        number, digit = divmod(number, 62)
        check = digits[digit] + check
    return f"ghp_{text}{check}"


def passwords() -> list[str]:
    """For places where the name beside it tells what it is; with characters that every encoding escapes."""
    source = random.Random(SEED + 1)
    return [
        "".join(source.choices(string.ascii_letters + string.digits + "+/=&%\"\\'<> é", k=24))
        for _ in range(50)
    ]


def forms(secret: str) -> Iterator[bytes]:
    """What is looked for."""
    raw = secret.encode()
    yield raw
    yield raw.lower()
    for start in range(3):
        # Without the characters that what stands before and behind has a part in.
        encoded = base64.b64encode(b"\0" * start + raw)
        yield encoded[4 if start else 0 : (start + len(raw)) // 3 * 4]
    yield quote(secret, safe="").encode()
    yield "".join(f"%{byte:02X}" for byte in raw).encode()
    yield json.dumps(secret)[1:-1].encode()
    yield "".join(f"\\u{ord(character):04x}" for character in secret).encode()
    yield raw.hex().encode()
    yield raw.hex().upper().encode()
    if len(raw) >= 2 * MIN_HALF:
        yield raw[: len(raw) // 2]
        yield raw[len(raw) // 2 :]


def hits(patterns: Path, *places: Path) -> list[str]:
    """The files in which one of the patterns is; grep(1) looks for all of them at once."""
    command = ["grep", "-rlaF", "-f", str(patterns), *map(str, places)]
    done = subprocess.run(command, env={"LC_ALL": "C"}, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout.splitlines()


def get(target: bytes, *lines: bytes, method: bytes = b"GET", **icap: str) -> bytes:
    head = b"\r\n".join([method + b" " + target + b" HTTP/1.1", b"Host: h.example", *lines]) + b"\r\n\r\n"
    return wire.reqmod(head, Allow="204", **icap)


def post(body: bytes, content_type: bytes, *lines: bytes) -> bytes:
    head = [b"POST https://h.example/x HTTP/1.1", b"Host: h.example", b"Content-Type: " + content_type]
    head += [b"Content-Length: %d" % len(body), *lines]
    return wire.reqmod(b"\r\n".join(head) + b"\r\n\r\n", wire.chunked(body), Allow="204")


def answer(body: bytes, content_type: bytes = b"application/json", *lines: bytes) -> bytes:
    return wire.respmod(response(body, content_type, *lines), wire.chunked(body), Allow="204")


def escaped(secret: bytes) -> bytes:
    return b"".join(b"\\u%04x" % byte for byte in secret)


#: Where a secret may stand.
PLACES: dict[str, Callable[[bytes], bytes]] = {
    "value-of-a-query": lambda s: get(b"https://h.example/x?q=" + s),
    "unknown-value": lambda s: get(b"https://h.example/x?q=" + s[4:30]),
    "name-in-a-query": lambda s: get(b"https://h.example/x?" + s + b"=1"),
    "query-alone": lambda s: get(b"https://h.example/x?" + s[4:]),
    "encoded-query": lambda s: get(b"https://h.example/x?q=" + quote(s[::1]).encode() + b"%3D"),
    "path": lambda s: get(b"https://h.example/files/" + s + b"/x"),
    "encoded-path": lambda s: get(b"https://h.example/" + b"".join(b"%%%02X" % byte for byte in s)),
    "matrix": lambda s: get(b"https://h.example/x;id=" + s[4:] + b"/y"),
    "fragment": lambda s: get(b"https://h.example/x#" + s),
    "user-information": lambda s: get(b"https://user:" + s + b"@h.example/"),
    "host": lambda s: get(b"https://" + s + b".example/"),
    "method": lambda s: get(b"https://h.example/", method=s),
    "authorization": lambda s: get(b"https://h.example/", b"Authorization: Bearer " + s),
    "cookie": lambda s: get(b"https://h.example/", b"Cookie: session=" + s),
    "name-of-a-field": lambda s: get(b"https://h.example/", s + b": " + s),
    "media-type": lambda s: post(b"{}", b"application/" + s),
    "charset": lambda s: post(b"{}", b"text/plain; charset=" + s),
    "name-of-a-file": lambda s: answer(
        b"x", b"text/plain", b"Content-Disposition: attachment; filename=" + s
    ),
    "part-of-a-form": lambda s: post(
        b'--b\r\nContent-Disposition: form-data; name="%b"; filename="%b"\r\n\r\n%b\r\n--b--\r\n' % (s, s, s),
        b"multipart/form-data; boundary=b",
    ),
    "form": lambda s: post(b"a=1&password=" + s, b"application/x-www-form-urlencoded"),
    "json": lambda s: post(b'{"token": "%b", "%b": 1}' % (s, s), b"application/json"),
    "escaped": lambda s: answer(b'{"token": "%b"}' % escaped(s)),
    "base64": lambda s: answer(b'{"data": "%b"}' % base64.b64encode(b"token: " + s)),
    "response": lambda s: answer(b"it is " + s, b"text/plain"),
    "field-of-a-response": lambda s: answer(b"{}", b"application/json", b"Set-Cookie: k=" + s),
    "gzip": lambda s: answer(gzip.compress(s, mtime=0), b"text/plain", b"Content-Encoding: gzip"),
    "broken-gzip": lambda s: answer(s, b"text/plain", b"Content-Encoding: gzip"),
    "flow": lambda s: answer(b"x " * 30_000 + s + b" x" * 30_000, b"text/plain"),
    "image": lambda s: answer(s, b"image/png"),
    "defect": lambda s: answer(b'{"%b": "%b"}' % (MARKER, s)),
    "transaction": lambda s: get(b"https://h.example/", **{"X-Icapd-Txn": s.decode()}),
    "unknown-service": lambda s: get(b"https://h.example/").replace(b"/reqmod", b"/" + s),
    "broken-request": lambda s: get(b"https://h.example/" + s).replace(b"null-body", b"no-body"),
    "no-icap": lambda s: b"GET /" + s + b" HTTP/1.1\r\nHost: " + s + b"\r\n\r\n",
    "half": lambda s: answer(b"x " * 30_000 + s, b"text/plain")[:-20],
}
#: After which the server closes the connection, or the client does.
LAST = {"broken-request", "no-icap", "half"}


@pytest.fixture(scope="module")
def planted() -> list[str]:
    return [*secrets(), *passwords()]


@pytest.fixture
def patterns(planted: list[str], tmp_path: Path) -> Path:
    path = tmp_path / "patterns"
    path.write_bytes(b"\n".join(form for secret in planted for form in forms(secret)) + b"\n")
    return path


def send(server: Server) -> None:
    """All of them, each in another place."""
    connection: socket.socket | None = None
    for number, secret in enumerate(secrets()):
        name, make = list(PLACES.items())[number % len(PLACES)]
        connection = connection or server.connect()
        if name == "half":
            connection.sendall(make(secret.encode()))
        else:
            ask(connection, make(secret.encode()))
        if name in LAST:
            connection.close()
            connection = None
    with connection or server.connect() as last:
        for password in passwords():
            ask(last, post(json.dumps({"password": password}).encode(), b"application/json"))
            ask(last, get(b"https://h.example/?password=" + quote(password).encode()))


def icapd(directory: Path, *arguments: str) -> str:
    """What a command of `icapd audit` prints."""
    command = ["--config", str(directory / "icapd.toml"), "audit", *arguments]
    result = CliRunner().invoke(main, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def followed(directory: Path, format_: str, count: int) -> bytes:
    """What `icapd audit tail` prints, until Ctrl-C."""
    command = [
        ICAPD,
        "--config",
        directory / "icapd.toml",
        "audit",
        "tail",
        "-n",
        "10000",
        "--format",
        format_,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(count)]
        process.send_signal(signal.SIGINT)
        return b"".join(lines) + process.stdout.read()


def forwarded(directory: Path) -> bytes:
    """What a SIEM gets."""
    got = b""

    def take() -> None:
        nonlocal got
        connection, _ = siem.accept()
        with connection, connection.makefile("rb") as stream:
            got = stream.read()

    with socket.create_server(("127.0.0.1", 0)) as siem:
        taking = Thread(target=take, daemon=True)
        taking.start()
        target = f"syslog+tcp://127.0.0.1:{siem.getsockname()[1]}"
        icapd(directory, "forward", target, "--once", "--cursor", str(directory / "siem.cursor"))
        taking.join(PATIENCE)
    return got


@pytest.mark.slow
def test_no_secret_is_at_rest_in_any_form(tmp_path: Path, patterns: Path) -> None:
    directory, site, left = tmp_path / "server", tmp_path / "site", tmp_path / "left"
    for made in (directory, site, left):
        made.mkdir()
    (site / "sitecustomize.py").write_text(SITE)
    port = free_port()
    settings = f'[server]\nlisten = "127.0.0.1:0"\nhttp_listen = "127.0.0.1:{port}"\nworkers = 2\n[policy]\n'
    with serving(directory, settings, environment={"PYTHONPATH": str(site)}) as server:
        send(server)
        rows = server.rows()
        (left / "rows").write_text(json.dumps(rows))
        for page in ("metrics", "readyz", "healthz"):
            with urlopen(f"http://127.0.0.1:{port}/{page}", timeout=PATIENCE) as answered:
                (left / page).write_bytes(answered.read())
        for format_ in ("jsonl", "csv", "ocsf", "ecs", "cef"):
            icapd(directory, "export", str(left / f"export.{format_}"), "--format", format_)
        for format_ in ("table", "jsonl"):
            (left / f"tail.{format_}").write_bytes(followed(directory, format_, len(rows)))
        for command in (("stats", "--by", "host"), ("search",), ("show", str(rows[0]["txn_id"]))):
            (left / command[0]).write_text(icapd(directory, *command))
        (left / "forwarded").write_bytes(forwarded(directory))
        # The outboxes, the database and their logs as they are while it runs.
        during = {path.suffix for path in directory.rglob("*") if path.stat().st_size}
        assert during >= {".outbox", ".outbox-wal", ".db", ".key"}
        assert hits(patterns, directory) == []
        assert server.stop() == 0
        (left / "log").write_text(server.log)

    found = {finding["rule_id"] for row in rows for finding in row["findings"]}  # type: ignore[attr-defined]
    assert server.log.count("internal-error") >= COUNT // len(PLACES)
    assert "protocol-error" in server.log and "ValueError" in server.log
    assert any(rule.startswith("credentials.") for rule in found)
    assert sum(bool(row["findings"]) for row in rows) > COUNT / 3
    assert all(path.stat().st_size for path in left.iterdir())
    assert hits(patterns, directory, left) == []
    print(f"{COUNT} secrets in {len(PLACES)} places, {len(rows)} rows, 0 hits")  # noqa: T201


@pytest.mark.parametrize("number", range(13))
def test_what_would_be_left_is_found(patterns: Path, tmp_path: Path, planted: list[str], number: int) -> None:
    """The search itself: each form of a secret, amid others' bytes."""
    (tmp_path / "left").mkdir()
    for name, secret in (("token", planted[7]), ("password", planted[-1])):
        form = list(forms(secret))[number]
        (tmp_path / "left" / name).write_bytes(b"\0\xff before " + form + b" behind\n")
    assert len(hits(patterns, tmp_path / "left")) == 2


@pytest.mark.parametrize("start", range(4))
def test_base64_of_a_longer_text_is_found(
    patterns: Path, tmp_path: Path, planted: list[str], start: int
) -> None:
    (tmp_path / "left").mkdir()
    text = b"x" * start + planted[3].encode() + b" and more"
    (tmp_path / "left" / "text").write_bytes(base64.b64encode(text))
    assert len(hits(patterns, tmp_path / "left")) == 1
