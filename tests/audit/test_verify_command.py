"""`icapd audit verify`: what it tells people and programs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.trail import Trail
from tampering import LAST, ROW, Tampered, delete_a_row
from verifying import exported, run

from icapd.audit.evidence.faults import Kind
from icapd.audit.evidence.notes import Signer, load_or_create_signer


def test_the_command_tells_people_and_programs(in_sqlite: Tampered) -> None:
    trail = in_sqlite.trail
    assert run(trail, "verify") == (0, run(trail, "verify")[1])
    assert "all is as it was" in run(trail, "verify")[1]
    code, output = run(trail, "verify", "--format", "json", "--strict")
    assert (code, json.loads(output)["rows"]) == (0, LAST)
    delete_a_row(in_sqlite)
    code, output = run(trail, "verify")
    assert code == Kind.MISSING
    assert f"row {ROW}: not there" in output
    assert f"writer {in_sqlite.writer_id}, row {ROW}" in output
    code, output = run(trail, "verify", "--format", "json")
    answer = json.loads(output)
    assert (code, answer["exit_code"], answer["counts"]) == (2, 2, {"missing": 1})
    assert (answer["faults"][0]["kind"], answer["faults"][0]["writer_seq"]) == ("missing", ROW)


def test_whoever_verifies_elsewhere_needs_the_public_key_only(in_sqlite: Tampered, tmp_path: Path) -> None:
    trail = in_sqlite.trail
    code, public = run(trail, "key")
    assert code == 0
    assert public.startswith("icapd+")
    Path(trail.settings.signing_key).unlink()
    code, output = run(trail, "key")
    assert (code, "at its first start" in output) == (3, True)
    code, output = run(trail, "verify")
    assert (code, "give --public-key" in output) == (7, True)
    assert run(trail, "verify", "--public-key", public.strip())[0] == 0
    keys = tmp_path / "keys"
    keys.write_text(f"# ours\n{public}\n{Signer.generate().verifier}\n")
    assert run(trail, "verify", "--public-key", str(keys))[0] == 0
    assert run(trail, "verify", "--public-key", str(Signer.generate().verifier))[0] == Kind.ALTERED


def test_over_no_rows_nothing_is_said_to_be_as_it_was(tmp_path: Path) -> None:
    trail, file = Trail.make(tmp_path), tmp_path / "export"
    load_or_create_signer(Path(trail.settings.signing_key))
    assert nothing_verified(trail) == "no row from the beginning to the end"
    with trail.writer() as writer:
        pass
    trail.ship()
    assert run(trail, "verify")[0] == 0
    assert (
        nothing_verified(trail, "--since", "2090-01-01")
        == "no row from 2090-01-01T00:00:00.000000Z to the end"
    )
    assert nothing_verified(trail, "--writer", "5") == "no row of writer 5, from the beginning to the end"
    assert run(trail, "verify", "--writer", str(writer.writer_id))[0] == 0
    exported(trail, file, "jsonl", "--since", "2090-01-01")
    assert nothing_verified(trail, "--export", str(file)).startswith("no row from 2090-01-01")
    file.write_text("")
    assert run(trail, "verify", "--export", str(file))[0] == 7


def nothing_verified(trail: Trail, *options: str) -> str:
    code, output = run(trail, "verify", *options)
    assert (code, "as it was" in output) == (7, False)
    return output.strip().partition("there is nothing to verify: ")[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--export", "nowhere"], "nowhere: No such file", id="no export"),
        pytest.param(["--public-key", "icapd+00000000+AAAA"], "is no key of the form", id="no key"),
        pytest.param(["--public-key", "nowhere"], "nowhere: No such file", id="no file"),
        pytest.param(["--anchors", "nowhere"], "nowhere: No such file", id="no anchors"),
        pytest.param(["--since", "sometimes"], "is no time", id="no time"),
        pytest.param(["--until", "2d", "--since", "1d"], "is not before --until", id="no such time"),
        pytest.param(["--what"], "No such option", id="no option"),
    ],
)
def test_what_could_not_be_verified_has_a_code_of_its_own(
    in_sqlite: Tampered, arguments: list[str], message: str
) -> None:
    code, output = run(in_sqlite.trail, "verify", *arguments)
    assert code == 7
    assert message in output


@pytest.mark.parametrize("format_", ["table", "json"])
def test_the_code_is_there_for_who_reads_no_report(in_sqlite: Tampered, format_: str) -> None:
    delete_a_row(in_sqlite)
    settings = in_sqlite.trail.settings
    environment = os.environ | {
        "ICAPD_AUDIT_DATABASE_URL": in_sqlite.trail.url,
        "ICAPD_AUDIT_SIGNING_KEY": settings.signing_key,
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    code = "from icapd.cli import main; main()"
    command = [sys.executable, "-c", code, "audit", "verify", "--format", format_]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        command,
        cwd=in_sqlite.trail.outbox,
        env=environment,
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (Kind.MISSING, b"")
