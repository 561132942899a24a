"""`icapd audit purge`, `hold` and `erase`: what they ask, tell, do and leave on record."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from retaining import Kept
from support.trail import Trail

from icapd.audit.reads import reader
from icapd.cli import main
from icapd.inspection.findings import Fingerprinter
from icapd.server.fingerprint_keys import load_or_create_keys

BEFORE = ("--before", "2026-06-01")


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    kept = Kept(Trail.make(tmp_path))
    kept.write(20)
    return kept


def icapd(kept: Kept, *arguments: str, **settings: object) -> Result:
    place = kept.trail.outbox.parent
    values = {"database_url": kept.trail.url, "outbox": str(kept.trail.outbox)}
    values |= {name: str(place / name.replace("_", ".")) for name in ("signing_key", "fingerprint_key")}
    lines = [f"{name} = {json.dumps(value)}" for name, value in (values | settings).items()]
    configuration = place / "icapd.toml"
    configuration.write_text("\n".join(["[audit]", *lines]))
    return CliRunner().invoke(main, ["--config", str(configuration), "audit", *arguments])


def deeds(kept: Kept) -> list[tuple[str, dict[str, Any]]]:
    kept.trail.ship()
    rows = kept.trail.rows(
        "SELECT action, detail FROM audit_admin WHERE action NOT IN ('start', 'stop') ORDER BY occurred_at"
    )
    return [(action, json.loads(detail)) for action, detail in rows]


def test_purge_says_what_it_would_do_and_does_nothing(kept: Kept) -> None:
    told = icapd(kept, "purge", *BEFORE, "--dry-run")
    assert (told.exit_code, told.stdout) == (0, "20 rows would go (allowed 18, found 2)\n")
    told = icapd(kept, "purge", "--dry-run", "--format", "json", retention_allowed=30)
    assert json.loads(told.stdout) == {"dry_run": True, "due": {"allowed": 18}, "held": 0}
    assert kept.count() == 20
    (_, one), (_, other) = [deed for deed in deeds(kept) if deed[0] != "audit-read-begin"]
    before = {"allowed": "2026-06-01T00:00:00.000000Z", "found": "2026-06-01T00:00:00.000000Z"}
    assert one == {
        **reader(),
        "command": "purge",
        "asked": {"counts": True, "dry_run": True, "before": before},
        "rows": 20,
    }
    assert (other["rows"], list(other["asked"]["before"])) == (18, ["allowed"])


def test_purge_has_to_be_told_twice_and_is_on_record(kept: Kept) -> None:
    refused = icapd(kept, "purge", *BEFORE)
    assert (refused.exit_code, kept.count()) == (2, 20)
    assert "say --yes, or --dry-run" in refused.stderr
    done = icapd(kept, "purge", *BEFORE, "--class", "allowed", "--yes", "--format", "json")
    answer = json.loads(done.stdout)
    assert (done.exit_code, answer["rows"], answer["refused"], answer["held"]) == (0, 18, 0, 0)
    assert kept.count() == 2
    # Whoever is asked has seen how many there are.
    counted, (begun, _), (ended, detail) = deeds(kept)[1:4:2], *deeds(kept)[-2:]
    assert [(action, row["rows"], row["asked"].get("dry_run")) for action, row in counted] == [
        ("audit-read", 20, None),
        ("audit-read", 18, None),
    ]
    assert (begun, ended) == ("purge-begin", "purge")
    expected = {**reader(), "before": {"allowed": "2026-06-01T00:00:00.000000Z"}, "rows": 18}
    assert expected.items() <= detail.items()
    verified = icapd(kept, "verify", "--format", "json")
    assert (verified.exit_code, json.loads(verified.stdout)["purged"]) == (6, 18)
    assert "all is as it was but for what retention took" in icapd(kept, "verify").stdout


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        pytest.param((), "all records are kept for ever", id="nothing set"),
        pytest.param(("--class", "allowed"), "--class says what --before is about", id="class alone"),
        pytest.param((*BEFORE, "--archive", "/nowhere"), "does not exist", id="no directory"),
        pytest.param((*BEFORE, "--class", "some"), "is not one of", id="no class"),
    ],
)
def test_purge_says_what_is_missing(kept: Kept, arguments: tuple[str, ...], problem: str) -> None:
    refused = icapd(kept, "purge", "--yes", *arguments)
    assert (refused.exit_code, problem in refused.stderr) == (2, True)
    assert kept.count() == 20


def test_purge_tells_of_rows_that_are_not_what_they_were(kept: Kept) -> None:
    with kept.database.write() as connection:
        connection.exec_driver_sql("UPDATE audit_event SET host = 'elsewhere.example' WHERE writer_seq = 5")
    done = icapd(kept, "purge", *BEFORE, "--yes")
    assert (done.exit_code, kept.count()) == (1, 1)
    assert "1 rows that are old enough stay, for they are not what their chain says" in done.stderr


def test_a_deed_that_can_t_be_on_record_is_not_done(kept: Kept, tmp_path: Path) -> None:
    nowhere = str(tmp_path / "none")
    load_or_create_keys(tmp_path / "fingerprint.key")
    for arguments in (
        ("purge", *BEFORE, "--yes"),
        ("erase", "--user", "alice", "--yes"),
        ("hold", "add", "--all", "--reason", "a"),
    ):
        refused = icapd(kept, *arguments, outbox=nowhere)
        assert refused.exit_code == 3
        assert "nothing was done, for it could not be put on record" in refused.stderr
    assert (kept.count(), kept.count("audit_hold")) == (20, 0)
    assert kept.trail.rows("SELECT count(*) FROM audit_event WHERE client_user = 'alice'") == [(20,)]


def test_without_the_trail_s_key_nothing_is_done(kept: Kept, tmp_path: Path) -> None:
    refused = icapd(kept, "purge", *BEFORE, "--yes", signing_key=str(tmp_path / "other.key"))
    assert (refused.exit_code, "is not there; run this where the server runs" in refused.stderr) == (3, True)
    assert not (tmp_path / "other.key").exists()


def test_hold_is_added_listed_and_released(kept: Kept) -> None:
    added = icapd(kept, "hold", "add", "--user", "alice", "--since", "2026-05-01", "--reason", "case 17")
    hold_id = added.stdout.strip()
    assert (added.exit_code, added.stderr) == (0, "holds 20 records that are there now\n")
    told = icapd(kept, "purge", *BEFORE, "--dry-run").stdout
    assert told == "0 rows would go (allowed 0, found 0); 20 more are held\n"
    (listed,) = json.loads(icapd(kept, "hold", "list", "--format", "json").stdout)
    assert (listed["hold"], listed["reason"], listed["by"]) == (hold_id, "case 17", reader())
    assert listed["filters"] == {"user": "alice", "since": "2026-05-01T00:00:00.000000Z"}
    assert hold_id in icapd(kept, "hold", "list").stdout
    assert icapd(kept, "hold", "release", "none", "--reason", "a").exit_code == 3
    assert icapd(kept, "hold", "release", hold_id, "--reason", "closed").exit_code == 0
    assert icapd(kept, "hold", "list").stderr == "there are no holds\n"
    (listed,) = json.loads(icapd(kept, "hold", "list", "--all", "--format", "json").stdout)
    assert (listed["release_reason"], listed["released_by"]) == ("closed", reader())
    actions = [action for action, _ in deeds(kept)]
    assert actions == ["hold-add", "audit-read-begin", "audit-read", "hold-release"]
    assert icapd(kept, "verify").exit_code == 0


def test_a_list_tells_of_holds_that_were_tampered_with(kept: Kept) -> None:
    icapd(kept, "hold", "add", "--user", "alice", "--reason", "case 17")
    kept.trail.ship()
    for statement, problem in (
        ("UPDATE audit_hold SET note = replace(note, 'alice', 'bob')", "its signature is wrong"),
        ("DELETE FROM audit_hold", "audit_hold lacks the hold"),
    ):
        with kept.database.write() as connection:
            connection.exec_driver_sql(statement)
        listed = icapd(kept, "hold", "list")
        assert (listed.exit_code, problem in listed.stderr) == (1, True)


def test_a_time_that_is_none_is_told_and_purged_nowhere(kept: Kept, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    with kept.database.write() as connection:
        connection.exec_driver_sql("UPDATE audit_event SET occurred_at = '' WHERE writer_seq = 5")
    for arguments in (
        ("search",),
        ("export", "-", "--format", "jsonl"),
        ("purge", *BEFORE, "--yes", "--archive", str(tmp_path)),
    ):
        told = icapd(kept, *arguments)
        assert (told.exit_code, "hold a time that is none" in told.stderr) == (3, True), arguments
    assert icapd(kept, "verify").exit_code == 1
    assert icapd(kept, "purge", *BEFORE, "--yes").exit_code == 1
    assert kept.count() == 1


@pytest.mark.parametrize("arguments", [(), ("--all", "--user", "alice")])
def test_all_is_held_only_if_that_is_said(kept: Kept, arguments: tuple[str, ...]) -> None:
    refused = icapd(kept, "hold", "add", "--reason", "case 17", *arguments)
    assert (refused.exit_code, "say so by options, or give --all alone" in refused.stderr) == (2, True)
    assert kept.count("audit_hold") == 0
    held = icapd(kept, "hold", "add", "--all", "--reason", "case 17")
    assert (held.exit_code, held.stderr) == (0, "holds 20 records that are there now\n")


def test_erase_is_on_record_without_the_name(kept: Kept, tmp_path: Path) -> None:
    (key,) = load_or_create_keys(tmp_path / "fingerprint.key")
    told = icapd(kept, "erase", "--user", "alice", "--dry-run", "--format", "json")
    assert json.loads(told.stdout) == {"dry_run": True, "rows": 20, "held": 0}
    assert "say --yes" in icapd(kept, "erase", "--user", "alice").stderr
    done = icapd(kept, "erase", "--user", "alice", "--until", "2026-06-01", "--yes")
    assert (done.exit_code, done.stdout) == (0, "erased 20 records\n")
    (_, (counted, read)), (action, detail) = deeds(kept)[:2], deeds(kept)[-1]
    subject = Fingerprinter(key).fingerprint(b"alice")
    assert (action, detail["rows"], detail["subject_user"]) == ("erase", 20, subject)
    expected = {
        "command": "erase",
        "asked": {"counts": True, "dry_run": True, "subject_user": subject},
        "rows": 20,
    }
    assert (counted, read) == ("audit-read", {**reader(), **expected})
    assert "alice" not in json.dumps(deeds(kept))
    assert icapd(kept, "verify").exit_code == 0


def test_erase_leaves_what_is_held_and_says_so(kept: Kept, tmp_path: Path) -> None:
    load_or_create_keys(tmp_path / "fingerprint.key")
    until = "2026-05-17T10:00:00.005000Z"
    icapd(kept, "hold", "add", "--until", until, "--reason", "case 17")
    done = icapd(kept, "erase", "--user", "alice", "--yes")
    assert (done.exit_code, done.stdout) == (1, "erased 15 records\n")
    assert "5 records are held and stay" in done.stderr
    assert kept.trail.rows("SELECT count(*) FROM audit_event WHERE client_user = 'alice'") == [(5,)]


def test_an_address_is_found_however_it_is_written(kept: Kept, tmp_path: Path) -> None:
    load_or_create_keys(tmp_path / "fingerprint.key")
    kept.write(3, client_ip="2001:db8::7")
    told = icapd(kept, "hold", "add", "--client", "2001:DB8:0:0::7", "--reason", "case 17")
    assert told.stderr == "holds 3 records that are there now\n"
    assert icapd(kept, "erase", "--client", "2001:db8:0::7", "--dry-run").stdout.endswith("and 3 are held\n")
    assert (
        "would erase 20 records" in icapd(kept, "erase", "--client", "::ffff:192.0.2.7", "--dry-run").stdout
    )
    refused = icapd(kept, "erase", "--client", "192.0.2.256", "--yes")
    assert (refused.exit_code, "is no address; write one such as" in refused.stderr) == (2, True)


def test_erase_asks_whom(kept: Kept) -> None:
    refused = icapd(kept, "erase", "--yes", "--since", "2026-01-01")
    assert (refused.exit_code, "whom? give --user, --client or both" in refused.stderr) == (2, True)


def test_an_export_of_a_purged_trail_verifies_too(kept: Kept, tmp_path: Path) -> None:
    icapd(kept, "hold", "add", "--until", "2026-05-17T10:00:00.005000Z", "--reason", "case 17")
    icapd(kept, "purge", *BEFORE, "--yes")
    kept.trail.ship()
    for format_ in ("jsonl", "parquet"):
        if format_ == "parquet":
            pytest.importorskip("pyarrow")
        file = tmp_path / f"export.{format_}"
        assert icapd(kept, "export", str(file), "--format", format_).exit_code == 0
        verified = icapd(kept, "verify", "--export", str(file), "--format", "json")
        assert (verified.exit_code, json.loads(verified.stdout)["purged"]) == (6, 15)


def test_archives_are_written_and_verified(kept: Kept, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    archive = tmp_path / "archive"
    archive.mkdir()
    icapd(kept, "purge", "--yes", retention_allowed=1, retention_archive=str(archive))
    (file,) = archive.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    verified = icapd(kept, "verify", "--archive", str(file))
    assert verified.exit_code == 0, verified.output
    assert icapd(kept, "verify", "--archive", str(tmp_path / "none.parquet")).exit_code == 7
    # Along with an export of what is left as well.
    export = tmp_path / "export.jsonl"
    icapd(kept, "export", str(export), "--format", "jsonl")
    assert icapd(kept, "verify", "--export", str(export)).exit_code == 6
    assert icapd(kept, "verify", "--export", str(export), "--archive", str(file)).exit_code == 0
