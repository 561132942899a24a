"""Nothing that a request says hides another one, and nothing of it reaches the next."""

import re
from collections.abc import Iterator

import pytest
from support import wire
from support.policies import demo_policy
from support.sessions import Workbench, plain, plain_record
from support.smuggling import NEXT, PROBES, Probe

from icapd.audit import AuditRecord
from icapd.icap.limits import CodecLimits

_STATUS = re.compile(rb"ICAP/1\.0 (\d{3}) ")
CUTS = {"at once": 10**9, "byte by byte": 1, "in sevens": 7}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    directory = tmp_path_factory.mktemp("smuggling")
    bench = Workbench(demo_policy(directory), directory, CodecLimits(max_chunk_size=2**31))
    yield bench
    bench.close()


@pytest.fixture(scope="module")
def alone(bench: Workbench) -> tuple[bytes, AuditRecord]:
    """The innocent request's reply and record, as they have to be."""
    reply, (record,), _ = bench.run([NEXT])
    return plain(reply), plain_record(record)


def cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


@pytest.mark.parametrize("size", CUTS.values(), ids=CUTS)
@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.name)
def test_next_request_is_answered_as_if_alone_or_not_at_all(
    bench: Workbench, alone: tuple[bytes, AuditRecord], probe: Probe, size: int
) -> None:
    out, records, session = bench.run(cut(probe.complete, size))
    statuses = [int(status) for status in _STATUS.findall(out)]
    assert b"hidden" not in out
    assert all(record.host != "hidden.example" for record in records)
    assert session.connection.must_close is probe.closes
    if probe.closes:
        assert statuses == list(probe.statuses)
        assert b"\r\nConnection: close" in out or b"ICAP/1.0 404" in out
        return
    reply, record = alone
    assert statuses == [*probe.statuses, 204]
    assert plain(out).endswith(reply)
    assert plain_record(records[-1]) == record
    assert session.connection.is_idle


HOSTS = [
    pytest.param(
        b"GET https://uri.example/a HTTP/1.1\r\nHost: header.example\r\n\r\n", "uri.example", id="URI"
    ),
    pytest.param(b"GET /a HTTP/1.1\r\nHost: header.example\r\n\r\n", "header.example", id="Host"),
    pytest.param(
        b"CONNECT uri.example:443 HTTP/1.1\r\nHost: header.example\r\n\r\n", "uri.example", id="CONNECT"
    ),
]


@pytest.mark.parametrize(("head", "host"), HOSTS)
def test_host_is_the_one_that_the_proxy_connects_to(bench: Workbench, head: bytes, host: str) -> None:
    """RFC 9112 section 3.2.2: the absolute form wins over Host."""
    _, (record,), _ = bench.run([wire.reqmod(head, Preview="0")])
    assert record.host == host
