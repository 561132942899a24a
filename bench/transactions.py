"""Server CPU per ICAP transaction: icapd with its default policy and its audit trail, against c-icap's echo.

    .venv/bin/python bench/transactions.py [--seconds 3] [--connections 4]

Both servers run side by side on loopback and get the same bytes in turns; c-icap (Debian's package) echoes
and inspects nothing. What is measured is the CPU time that the kernel charged to the server's processes,
because the time on the wall is the machine's as much as theirs. Prints a Markdown table.
"""

import argparse
import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from rich.progress import track

ICAPD = Path(sys.executable).with_name("icapd")
TICK = 1 / os.sysconf("SC_CLK_TCK")
REQUEST = b"GET https://api.example/items HTTP/1.1\r\nHost: api.example\r\nAccept: */*\r\n\r\n"
#: Turns per server and case; the best one counts, since a noisy neighbour only ever adds.
TURNS = 3


@dataclass(frozen=True)
class Case:
    name: str
    method: bytes
    #: What follows the path of the service in the request line, to the last byte.
    rest: bytes

    def wire(self, path: bytes) -> bytes:
        return b"%b icap://127.0.0.1%b%b" % (self.method, path, self.rest)


def get_case() -> Case:
    rest = (
        b" ICAP/1.0\r\nHost: 127.0.0.1\r\nAllow: 204\r\nPreview: 0\r\n"
        b"Encapsulated: req-hdr=0, null-body=%d\r\n\r\n%b" % (len(REQUEST), REQUEST)
    )
    return Case("GET, no body", b"REQMOD", rest)


def json_case(name: str, size: int, secrets: int = 0) -> Case:
    """A JSON answer of about `size` bytes, like those of an API, with so many credentials in it."""
    items = []
    while len(json.dumps(items)) < size:
        number = len(items)
        items.append(
            {"id": number, "name": f"Item number {number}", "tags": ["red", "blue"], "price": number * 1.25}
        )
    for number in range(secrets):
        items[number]["note"] = f"AKIA{'QWERTYUIOPASDFGH'[number:]}{'ZXCVBNM2'[:number]}"
    body = json.dumps({"items": items}).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    chunks = b"".join(
        b"%x\r\n%b\r\n" % (len(body[i : i + 65536]), body[i : i + 65536]) for i in range(0, len(body), 65536)
    )
    rest = (
        b" ICAP/1.0\r\nHost: 127.0.0.1\r\nAllow: 204\r\n"
        b"Encapsulated: req-hdr=0, res-hdr=%d, res-body=%d\r\n\r\n"
        % (
            len(REQUEST),
            len(REQUEST) + len(head),
        )
    )
    return Case(name, b"RESPMOD", rest + REQUEST + head + chunks + b"0\r\n\r\n")


CASES = [
    get_case(),
    json_case("1 KB JSON", 1024),
    json_case("16 KB JSON", 16 * 1024),
    json_case("100 KB JSON", 100 * 1024),
    json_case("16 KB JSON, 5 credentials", 16 * 1024, 5),
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"the server on port {port} did not start")


@contextmanager
def running(command: list[str], port: int, directory: Path) -> Iterator[int]:
    """A server in a process group of its own; gives the id of the group's leader."""
    with (directory / f"{port}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            wait_for(port, process)
            yield process.pid
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(20)


def c_icap(directory: Path, port: int) -> list[str]:
    modules = next(Path("/usr/lib").glob("*/c_icap"), None)
    if modules is None or shutil.which("c-icap") is None:
        raise SystemExit("c-icap is not installed: apt-get install c-icap")
    config = directory / "c-icap.conf"
    config.write_text(
        f"Port 127.0.0.1:{port}\nPidFile {directory}/c-icap.pid\nCommandsSocket {directory}/c-icap.ctl\n"
        f"TmpDir {directory}\nModulesDir {modules}\nServicesDir {modules}\n"
        f"ServerLog {directory}/c-icap-server.log\n"
        "StartServers 1\nMaxServers 1\nThreadsPerChild 10\nMinSpareThreads 1\nMaxSpareThreads 10\n"
        "MaxKeepAliveRequests -1\nTimeout 60\nKeepAliveTimeout 60\n"
        "Service echo srv_echo.so\n"
    )
    return ["c-icap", "-N", "-f", str(config)]


def icapd(directory: Path, port: int) -> list[str]:
    config = directory / "icapd.toml"
    config.write_text(f'[server]\nlisten = "127.0.0.1:{port}"\nhttp_listen = ""\n')
    command = [str(ICAPD), "--config", str(config)]
    subprocess.run([*command, "db", "upgrade"], check=True, stdout=subprocess.DEVNULL)
    return [*command, "serve"]


def cpu_seconds(group: int) -> float:
    """CPU time of all live processes of a group."""
    total = 0.0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group:
            total += (int(fields[11]) + int(fields[12])) * TICK
    return total


async def converse(port: int, data: bytes, until: float) -> int:
    """Send the request again and again on one connection; returns how often it was answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    count = 0
    while time.monotonic() < until:
        writer.write(data)
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"ICAP/1.0 200"):
            await read_message(reader, head)
        elif not head.startswith(b"ICAP/1.0 204"):
            raise SystemExit(f"unexpected answer: {head[:60]!r}")
        count += 1
    writer.close()
    await writer.wait_closed()
    return count


async def read_message(reader: asyncio.StreamReader, head: bytes) -> None:
    encapsulated = head.lower().partition(b"encapsulated:")[2].partition(b"\r\n")[0]
    await reader.readexactly(int(encapsulated.rpartition(b"=")[2]))
    if b"null-body" in encapsulated:
        return
    while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
        await reader.readexactly(size + 2)
    await reader.readuntil(b"\r\n")


async def load(port: int, data: bytes, seconds: float, connections: int) -> int:
    until = time.monotonic() + seconds
    return sum(await asyncio.gather(*(converse(port, data, until) for _ in range(connections))))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=3.0, help="of each turn (default: 3)")
    parser.add_argument("--connections", type=int, default=4, help="at one time (default: 4)")
    options = parser.parse_args()
    best: dict[tuple[str, str], float] = {}
    with tempfile.TemporaryDirectory(prefix="icapd-bench-") as name:
        directory = Path(name)
        ports = {"c-icap": free_port(), "icapd": free_port()}
        with (
            running(c_icap(directory, ports["c-icap"]), ports["c-icap"], directory) as peer,
            running(icapd(directory, ports["icapd"]), ports["icapd"], directory) as ours,
        ):
            servers = {"c-icap": (peer, lambda case: b"/echo"), "icapd": (ours, path_of)}
            turns = [(case, server) for _ in range(TURNS) for case in CASES for server in servers]
            for case, server in track(turns, "measuring"):
                group, path = servers[server]
                data = case.wire(path(case))
                before = cpu_seconds(group)
                count = asyncio.run(load(ports[server], data, options.seconds, options.connections))
                cost = (cpu_seconds(group) - before) / count * 1e6
                best[case.name, server] = min(cost, best.get((case.name, server), cost))
    print("| transaction | c-icap echo, µs CPU | icapd, µs CPU | icapd / c-icap |")
    print("|---|---|---|---|")
    for case in CASES:
        peer_cost, our_cost = best[case.name, "c-icap"], best[case.name, "icapd"]
        print(f"| {case.name} | {peer_cost:.0f} | {our_cost:.0f} | {our_cost / peer_cost:.2f} |")


def path_of(case: Case) -> bytes:
    return b"/reqmod" if case.method == b"REQMOD" else b"/respmod"


if __name__ == "__main__":
    main()
