"""The benchmark's own promises: what it sends, what it takes for an answer, and that icapd does its cases."""

import subprocess
import sys
from pathlib import Path

import pytest
from support.icapd import serving

from bench.audit import verdict
from bench.audit.outage import Shipping
from bench.cases import FINDINGS, SIZES, Case, all_cases, response_case
from bench.load import WrongAnswer, run_load
from bench.servers import Expected
from bench.wire import Answer, Offer, encode

ROOT = Path(__file__).parents[2]
CASES = all_cases()
SMALL = [case for case in CASES if len(case.body) < 20_000]


def answer(wire: bytes) -> Answer:
    """Fed byte by byte, it is complete at its last byte and not before."""
    read = Answer()
    assert [read.feed(wire[i : i + 1]) for i in range(len(wire))] == [False] * (len(wire) - 1) + [True]
    return read


@pytest.mark.parametrize("module", ["bench", "bench.memory", "bench.audit", "bench.capacity"])
def test_help_needs_no_server(module: str) -> None:
    helped = subprocess.run(
        [sys.executable, "-m", module, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "usage: python -m" in helped.stdout


def test_the_trail_is_measured() -> None:
    options = [
        "--only",
        "verdict,shipping,reading,sizes",
        "--databases",
        "sqlite",
        "--records",
        "500",
        "--rounds",
        "1",
        "--seconds",
        "0.2",
    ]
    measured = subprocess.run(
        [sys.executable, "-m", "bench.audit", *options], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for row in (
        *(f"| {mode} | 8 |" for mode in verdict.MODES),
        "| sqlite | none | 1 in 20 has findings | shipper |",
        "| sqlite | verify |",
        "| outbox | many |",
    ):
        assert row in measured.stdout


def test_the_server_of_an_outage_has_a_database_of_its_own(tmp_path: Path) -> None:
    class Server(Shipping):
        database_url = f"sqlite:///{tmp_path}/other.db"

    Server(tmp_path, 1344).command()
    assert (tmp_path / "other.db").exists()


def test_cases_are_the_same_in_every_run() -> None:
    assert all_cases() == CASES
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES[1:], ids=lambda case: case.name)
def test_a_case_has_its_size_and_its_findings(case: Case) -> None:
    size = SIZES[" ".join(case.name.split()[:2])]
    assert 0.5 * size < len(case.body) < 1.2 * size
    assert all(case.body.count(secret) == 1 for secret in case.secrets)
    assert len(case.secrets) == (FINDINGS if "findings" in case.name else 0)


@pytest.mark.parametrize(
    ("case", "preview", "expected"),
    [
        pytest.param(Case("GET", "REQMOD"), 4096, (1, b"Preview: 0\r\nAllow: 204, trailers"), id="no-body"),
        pytest.param(
            response_case("JSON", "1 KB", 1024), 4096, (1, b"0; ieof\r\n\r\n"), id="smaller-than-the-preview"
        ),
        pytest.param(
            response_case("JSON", "16 KB", 16384), 4096, (2, b"Preview: 4096\r\nAllow: 204"), id="larger"
        ),
        pytest.param(
            response_case("JSON", "100 KB", 102400), 4096, (2, b"Allow: trailers"), id="no-204-beyond-64-KiB"
        ),
        pytest.param(
            response_case("JSON", "16 KB", 16384), None, (1, b"Allow: 204, trailers"), id="no-preview-offered"
        ),
    ],
)
def test_requests_are_as_squid_sends_them(
    case: Case, preview: int | None, expected: tuple[int, bytes]
) -> None:
    parts = encode(case, 1344, "service", Offer(preview, False))
    assert len(parts) == expected[0]
    assert expected[1] in parts[0]


def test_answers_are_read_to_their_end() -> None:
    unmodified = answer(b"ICAP/1.0 204 No modifications needed\r\n\r\n")
    assert unmodified.status == 204
    adapted = answer(
        b"ICAP/1.0 200 OK\r\nTrailer: X-A\r\nEncapsulated: res-hdr=0, res-body=19\r\n\r\n"
        b"HTTP/1.1 200 OK\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\nX-A: b\r\n\r\n"
    )
    assert (adapted.body, adapted.http_status_line) == (b"abcde", b"HTTP/1.1 200 OK")


def test_a_wrong_answer_is_noticed() -> None:
    case = Case("c", "RESPMOD", b"", b"virgin")
    changed = answer(
        b"ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0, res-body=19\r\n\r\n"
        b"HTTP/1.1 200 OK\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    )
    with pytest.raises(WrongAnswer, match="not those that were sent"):
        Expected(case, inspects=True)(changed)
    secret = response_case("JSON", "1 KB", 1024, findings=1)
    with pytest.raises(WrongAnswer, match="passed by 204"):
        Expected(secret, inspects=True)(answer(b"ICAP/1.0 204 No modifications needed\r\n\r\n"))


def test_icapd_passes_clean_cases_and_redacts_the_others(tmp_path: Path) -> None:
    with serving(tmp_path, "[policy]\n") as server:
        for case in SMALL:
            path = "reqmod" if case.method == "REQMOD" else "respmod"
            parts = encode(case, server.port, path, Offer(4096, True))
            check = Expected(case, inspects=True)
            run_load(server.port, parts, check, seconds=0, connections=1, warm_up=0)
