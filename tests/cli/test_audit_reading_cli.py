"""`icapd audit stats`, `tail`, `export`, `fingerprint`, and that all reads are on record."""

import json
import os
import string
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import pytest
from click.testing import CliRunner
from reading_trail import KEY, ROOT, icapd_audit, reads
from support.trail import Trail
from test_audit_cli import FINDING, OLD, REQUEST, RESPONSE, make_record

from icapd.audit.outbox.directory import reserve
from icapd.audit.reads import reader
from icapd.audit.search import Filters
from icapd.cli import main
from icapd.cli.audit_options import reading
from icapd.errors import AuditError
from icapd.inspection.findings import Fingerprinter
from icapd.policy import load_policy
from icapd.services import ContentInspector
from icapd.settings import Audit, Settings


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--severity", "high"], [RESPONSE]),
        (["--severity", "critical"], []),
        (["--fingerprint", "ab" * 16], [RESPONSE]),
        (["--txn", "node-1"], [RESPONSE, REQUEST]),
    ],
)
def test_search_by_severity_fingerprint_and_transaction(
    trail: Trail, options: list[str], expected: list[object]
) -> None:
    result = icapd_audit(trail, "search", "--format", "jsonl", *options)
    found = [json.loads(line)["event_id"] for line in result.stdout.splitlines()]
    assert found == [record.event_id for record in expected]


@pytest.mark.parametrize(
    ("arguments", "read"),
    [
        pytest.param(["search", "--host", "A.example"], ("search", {"host": "a.example"}, 0), id="search"),
        pytest.param(["search", "--limit", "2"], ("search", {"limit": 2}, 2), id="limit"),
        pytest.param(["show", "node-1"], ("show", {"identity": "node-1"}, 2), id="show"),
        pytest.param(["show", "nobody"], ("show", {"identity": "nobody"}, 0), id="show-nothing"),
        pytest.param(["stats", "--by", "verdict"], ("stats", {"by": "verdict"}, 2), id="stats"),
        pytest.param(
            ["search", "--since", "2026-05-17", "--format", "json"],
            ("search", {"since": "2026-05-17T00:00:00.000000Z"}, 4),
            id="since",
        ),
    ],
)
def test_a_read_is_on_record(
    trail: Trail, arguments: list[str], read: tuple[str, dict[str, object], int]
) -> None:
    icapd_audit(trail, *arguments)
    (row,) = reads(trail)
    asked = row["asked"]
    assert isinstance(asked, dict)
    asked.pop("format")
    if "limit" not in read[1]:
        asked.pop("limit", None)
    assert row == {**reader(), "command": read[0], "asked": read[1], "rows": read[2]}


def test_without_an_outbox_a_read_goes_on_and_says_that_it_is_not_on_record(trail: Trail) -> None:
    trail.outbox.rmdir()
    result = icapd_audit(trail, "search", "--format", "jsonl")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 4
    assert result.stderr == f"this read is not on record: {trail.outbox}: No such file or directory\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become someone else")
def test_a_user_who_may_not_even_look_at_the_outbox_is_told_and_goes_on(
    trail: Trail, capsys: pytest.CaptureFixture[str]
) -> None:
    hidden = trail.outbox / "of the server" / "outbox"
    hidden.mkdir(parents=True)
    hidden.parent.chmod(0o700)
    settings = Settings(audit=Audit(database_url=trail.url, outbox=str(hidden)))
    os.seteuid(65534)
    try:
        with reading(settings, "search", Filters()) as read:
            assert read.problem
    finally:
        os.seteuid(0)
    assert capsys.readouterr().err == f"this read is not on record: {hidden}: Permission denied\n"


def test_stats_as_table_json_and_csv(trail: Trail) -> None:
    table = icapd_audit(trail, "stats", "--by", "user")
    assert table.exit_code == 0
    assert [line.split() for line in table.stdout.splitlines()] == [
        ["user", "transactions", "findings", "bytes"],
        ["alice", "2", "2", "0"],
        ["[bold]mallory", "1", "0", "0"],
        ["bob", "1", "0", "0"],
    ]
    rows = json.loads(icapd_audit(trail, "stats", "--by", "user", "--format", "json").stdout)
    assert rows[0] == {"user": "alice", "transactions": 2, "findings": 2, "bytes": 0}
    assert json.loads(icapd_audit(trail, "stats", "--format", "json").stdout) == [
        {"all": None, "transactions": 4, "findings": 2, "bytes": 0}
    ]
    lines = icapd_audit(trail, "stats", "--by", "user", "--format", "jsonl").stdout.splitlines()
    assert [json.loads(line) for line in lines] == rows
    lines = icapd_audit(trail, "stats", "--by", "rule", "--format", "csv").stdout.splitlines()
    assert lines == ["rule,transactions,findings,bytes", "credentials.demo,1,2,0"]


def test_stats_show_hostile_names_as_they_are_and_compute_nothing(trail: Trail) -> None:
    trail.write(make_record(0, client_user="=1+1\x1b[2J", host="[red]\u202eevil"))
    trail.ship()
    assert "'=1+1\\x1b[2J" in icapd_audit(trail, "stats", "--by", "user", "--format", "csv").stdout
    shown = icapd_audit(trail, "stats", "--by", "host").stdout
    assert "[red]\\u202eevil" in shown
    assert all(character.isprintable() for character in shown.replace("\n", ""))


def test_export_to_a_file_and_to_standard_output(trail: Trail) -> None:
    file = trail.outbox.parent / "out.jsonl"
    result = icapd_audit(trail, "export", str(file), "--format", "jsonl", "--user", "bob")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == f"{file}: 1 rows\n"
    spreadsheet = trail.outbox.parent / "out.csv"
    of_findings = icapd_audit(trail, "export", str(spreadsheet), "--format", "csv")
    assert of_findings.stderr == f"{spreadsheet}: 4 records\n"
    assert json.loads(file.read_text())["event_id"] == OLD.event_id
    again = icapd_audit(trail, "export", "-", "--format", "jsonl", "--user", "bob")
    assert again.stdout == file.read_text()
    refused = icapd_audit(trail, "export", str(file), "--format", "csv")
    assert refused.exit_code == 1
    assert "is there already" in str(refused.exception)
    assert icapd_audit(trail, "export", str(file), "--format", "csv", "--force").exit_code == 0
    assert file.read_text().startswith("occurred_at,event_id,")
    asked = [(row["asked"], row["rows"]) for row in reads(trail)]
    assert asked == [
        ({"user": "bob", "format": "jsonl", "file": str(file)}, 1),
        ({"format": "csv", "file": str(spreadsheet)}, 4),
        ({"user": "bob", "format": "jsonl", "file": "-"}, 1),
        ({"format": "csv", "file": str(file)}, 0),
        ({"format": "csv", "file": str(file)}, 4),
    ]


def test_export_wants_a_format(trail: Trail) -> None:
    result = icapd_audit(trail, "export", "-")
    assert result.exit_code == 2
    assert "Missing option '--format'" in result.stderr


def test_parquet_without_its_library_says_what_to_install(trail: Trail, tmp_path: Path) -> None:
    (tmp_path / "icapd.toml").write_text("")
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from icapd.cli import main; main(['audit', 'export', 'x.parquet', '--format', 'parquet'])"
    )
    environment = os.environ | {"ICAPD_AUDIT_DATABASE_URL": trail.url, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert done.stderr == "Error: Parquet needs pyarrow: pip install 'icapd[parquet]'\n"
    assert not (tmp_path / "x.parquet").exists()


@pytest.mark.parametrize("stdin", [b"s3cret-of-mine", b"s3cret-of-mine\n", b"s3cret-of-mine\r\n"])
def test_fingerprint_of_a_secret_without_the_end_of_its_line(trail: Trail, stdin: bytes) -> None:
    result = icapd_audit(trail, "fingerprint", stdin=stdin)
    expected = Fingerprinter(bytes.fromhex(KEY)).fingerprint(b"s3cret-of-mine")
    assert (result.exit_code, result.output) == (0, f"{expected}\n")


def github_checksum(token: str) -> str:
    """The six characters that end a token: its CRC-32 in base 62."""
    alphabet = string.digits + string.ascii_uppercase + string.ascii_lowercase
    number, check = crc32(token.removeprefix("ghp_").encode()), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        check = alphabet[digit] + check
    return check


def test_fingerprint_is_the_one_that_the_inspection_makes_and_says_where_it_went(trail: Trail) -> None:
    secret = "ghp_" + "1aB2cD3eF4gH5iJ6kL7mN8oP9qR0sT"
    secret += github_checksum(secret)
    inspector = ContentInspector(load_policy(ROOT / "rules"), fingerprinter=Fingerprinter(bytes.fromhex(KEY)))
    body = json.dumps({"note": f"use {secret} there"})
    report = inspector.inspect_request(
        "POST", "https://a.example/", {"Content-Type": "application/json"}, body
    )
    found = icapd_audit(trail, "fingerprint", stdin=secret.encode()).output.strip()
    assert found in {issue.fingerprint for issue in report.findings}


def test_fingerprint_search_lists_the_records_and_no_secret_is_anywhere(trail: Trail) -> None:
    secret = "s3cret-of-mine"
    fingerprint = Fingerprinter(bytes.fromhex(KEY)).fingerprint(secret.encode())
    record = make_record(0, findings=(type(FINDING)("x.y", "high", "log", "body", "", fingerprint),))
    trail.write(record)
    trail.ship()
    result = icapd_audit(trail, "fingerprint", "--search", "--format", "jsonl", stdin=secret.encode())
    assert [json.loads(line)["event_id"] for line in result.stdout.splitlines()] == [record.event_id]
    shown = icapd_audit(trail, "fingerprint", "--search", stdin=secret.encode())
    assert shown.stdout.startswith(fingerprint)
    assert "x.y" in shown.stdout
    assert [row["asked"] for row in reads(trail)] == [{"fingerprint": [fingerprint], "search": True}] * 2
    for file in trail.outbox.parent.rglob("*"):
        assert not file.is_file() or secret.encode() not in file.read_bytes()


@pytest.mark.parametrize(
    ("stdin", "problem"),
    [(b"", "no secret came"), (b"\n", "no secret came"), (b"x" * 1_048_577, "which is no secret")],
)
def test_fingerprint_of_nothing_and_of_too_much_is_wrong_usage(
    trail: Trail, stdin: bytes, problem: str
) -> None:
    result = icapd_audit(trail, "fingerprint", stdin=stdin)
    assert result.exit_code == 2
    assert problem in result.stderr


def test_fingerprint_takes_no_secret_from_the_command_line_and_makes_no_key(trail: Trail) -> None:
    result = icapd_audit(trail, "fingerprint", "s3cret")
    assert result.exit_code == 2
    key = trail.outbox.parent / "fingerprint.key"
    key.unlink()
    result = icapd_audit(trail, "fingerprint", stdin=b"s3cret")
    assert "No such file" in str(result.exception)
    assert not key.exists()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_commands_options_and_choices(shell: str) -> None:
    def complete(*words: str) -> str:
        # What the shells' functions hand over.
        environment = {
            "_ICAPD_COMPLETE": f"{shell}_complete",
            "COMP_WORDS": " ".join(("icapd", *words)),
            "COMP_CWORD": words[-1] if shell == "fish" else str(len(words)),
        }
        return CliRunner(env=environment).invoke(main, prog_name="icapd").output

    assert "fingerprint" in complete("audit", "fin")
    assert "--severity" in complete("audit", "search", "--sev")
    assert "critical" in complete("audit", "search", "--severity", "cr")
    assert "parquet" in complete("audit", "export", "-", "--format", "par")


def test_what_can_not_come_to_the_database_is_told_with_the_reason(trail: Trail) -> None:
    trail.write(make_record(0))
    away = replace(trail, url=f"sqlite:///{trail.outbox.parent}/none/icapd.db")
    result = icapd_audit(away, "search")
    assert isinstance(result.exception, AuditError)
    reason = str(result.exception)
    assert result.stderr == f"3 newer records are not in the database yet: {reason}\n"
    # Where a server ships, it is that one to be asked.
    with reserve(trail.outbox):
        result = icapd_audit(away, "search")
    assert "newer records are not in the database yet; `icapd status` says why\n" in result.stderr
