"""`icapd scan`, `icapd rules` and `icapd check`, as they are typed."""

import base64
import gzip
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import brotli
import pytest
import trustme
from click.testing import CliRunner, Result
from support.policies import KEY, RULES, SECRET, demo_policy

from icapd.audit import migrations
from icapd.cli import main


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration with the demonstration rules, in the current directory."""
    (tmp_path / "rules").mkdir()
    demo_policy(tmp_path / "rules")
    (tmp_path / "icapd.toml").write_text('[policy]\ndirectory = "rules"\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def icapd(*arguments: str, stdin: str | bytes | None = None) -> Result:
    return CliRunner().invoke(main, arguments, input=stdin)


def lines(result: Result) -> list[dict[str, object]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_clean_file_exits_with_0(directory: Path) -> None:
    (directory / "a.json").write_text('{"a": 1}')
    result = icapd("scan", "a.json")
    assert (result.exit_code, result.stdout) == (0, "a.json: nothing found\n")


def test_file_with_findings_exits_with_1_and_shows_no_secret(directory: Path) -> None:
    (directory / "a.json").write_bytes(b'{"a": "%b"}' % KEY)
    result = icapd("scan", "a.json")
    assert result.exit_code == 1
    assert "demo.key" in result.stdout
    assert SECRET.decode() not in result.stdout


def test_findings_as_json(directory: Path) -> None:
    (directory / "a.json").write_bytes(b'{"a": "%b"}' % KEY)
    (directory / "b.txt").write_text("harmless")
    result = icapd("scan", "--format", "json", "a.json", "b.txt")
    first, second = lines(result)
    assert (first["file"], first["verdict"], first["risk_score"]) == ("a.json", "redacted", 40)
    assert (second["file"], second["verdict"], second["findings"]) == ("b.txt", "allowed", [])


def test_standard_input_is_scanned(directory: Path) -> None:
    assert icapd("scan", stdin=KEY).exit_code == 1
    assert icapd("scan", "-", stdin="harmless").exit_code == 0


def test_file_that_is_no_text_is_not_called_clean(directory: Path) -> None:
    (directory / "image.bin").write_bytes(b"\x00\x01\x02")
    result = icapd("scan", "--format", "json", "image.bin")
    assert result.exit_code == 0
    assert [(line["inspection"], line["skip_reason"]) for line in lines(result)] == [
        ("skipped", "media-type")
    ]
    assert icapd("scan", "image.bin").stdout == "image.bin: not inspected (media-type)\n"


def test_file_in_another_charset_and_coding_is_read(directory: Path) -> None:
    text = ("naïve " + KEY.decode()).encode("utf-16")
    (directory / "wide.txt").write_bytes(text)
    (directory / "wide.txt.br").write_bytes(brotli.compress(text))
    for name in ("wide.txt", "wide.txt.br"):
        result = icapd("scan", "--format", "json", name)
        assert result.exit_code == 1
        assert lines(result)[0]["inspection"] == "complete"
    # At which byte of the file, not of what it was transcoded to.
    assert str(text.index("ABCDEF".encode("utf-16-le"))) in icapd("scan", "wide.txt").stdout


def test_body_of_the_batch_in_another_charset_comes_back_in_it(directory: Path) -> None:
    secret = f"naïve {KEY.decode()} €"
    headers = {"Content-Type": "text/plain; charset=utf-16le"}
    body = base64.b64encode(secret.encode("utf-16-le")).decode()
    answer = lines(icapd("scan", "--batch", stdin=json.dumps({"headers": headers, "body_base64": body})))[0]
    redacted = base64.b64decode(answer["body_base64"]).decode("utf-16-le")
    assert redacted == "naïve KEY-[REDACTED] €"
    # What comes as characters is in no charset any more, whatever its headers say.
    answer = lines(icapd("scan", "--batch", stdin=json.dumps({"headers": headers, "body": secret})))[0]
    assert answer["body"] == redacted


def test_packed_file_is_unpacked(directory: Path) -> None:
    (directory / "log.txt.gz").write_bytes(gzip.compress(KEY))
    assert icapd("scan", "log.txt.gz").exit_code == 1


def test_file_that_can_not_be_scanned_is_told_and_the_others_are_scanned(directory: Path) -> None:
    (directory / "slow.txt").write_text("a" * 60)
    (directory / "key.txt").write_bytes(KEY)
    slow = RULES.replace('pattern = "NOTE-ME"', "pattern = '(?:a|aa|aaa){1,60}(?=b)b?'\nmax_length = 4096")
    slow = slow.replace('match = ["NOTE-ME"]\nno_match = ["note"]', 'match = ["aab"]\nno_match = ["b"]')
    (directory / "rules" / "demo.toml").write_text(slow)
    (directory / "icapd.toml").write_text('[policy]\ndirectory = "rules"\n[limits]\nscan_timeout = 0.1\n')
    result = icapd("scan", "slow.txt", "key.txt")
    assert result.exit_code == 2
    assert "slow.txt: rule demo.note ran out of its time budget" in result.stderr
    assert "demo.key" in result.stdout


def test_direction_chooses_the_rules(directory: Path) -> None:
    body = "q=ATTACK%21"
    form = "application/x-www-form-urlencoded"
    assert icapd("scan", "--direction", "request", "--content-type", form, stdin=body).exit_code == 1
    assert icapd("scan", "--direction", "response", "--content-type", form, stdin=body).exit_code == 0


def test_batch_answers_each_line_in_order(directory: Path) -> None:
    messages = [
        {
            "id": "1",
            "direction": "response",
            "headers": {"Content-Type": "application/json"},
            "body": '{"a":1}',
        },
        {"id": 2, "direction": "response", "body": f"key {KEY.decode()} end"},
        {"id": "3", "direction": "request", "method": "GET", "url": "https://h/?q=ATTACK!", "headers": {}},
        {
            "id": "4",
            "direction": "response",
            "headers": {"Content-Encoding": "gzip"},
            "body_base64": base64.b64encode(gzip.compress(KEY)).decode(),
        },
    ]
    result = icapd("scan", "--batch", stdin="\n".join(map(json.dumps, messages)))
    assert result.exit_code == 1
    answers = lines(result)
    assert [(answer["id"], answer["verdict"]) for answer in answers] == [
        ("1", "allowed"),
        (2, "redacted"),
        ("3", "blocked"),
        ("4", "redacted"),
    ]
    assert answers[0]["body"] == '{"a":1}'
    assert answers[1]["body"] == "key KEY-[REDACTED] end"
    assert "body" not in answers[2]
    assert base64.b64decode(str(answers[3]["body_base64"])) == b"KEY-[REDACTED]"
    (finding,) = answers[1]["findings"]  # type: ignore[misc]
    assert set(finding) == {"rule_id", "severity", "action", "target", "excerpt"}
    assert SECRET.decode() not in result.stdout


@pytest.mark.parametrize(
    ("line", "answer_id", "error"),
    [
        ("{", None, "Input data was truncated"),
        ("[]", None, "Expected `object`"),
        ('{"id":' + "[" * 50_000, None, ""),
        # The words are msgspec's, which has others from 0.23 on.
        ('{"id": "\udcff"}', None, "can't decode byte 0xff|Invalid UTF-8"),
        ('{"id": "x", "direction": "up"}', "x", "Invalid enum value 'up'"),
        ('{"id": "x", "bdy": ""}', "x", "unknown field `bdy`"),
        ('{"id": "x", "body": "", "body_base64": ""}', "x", "not both"),
        ('{"id": "x", "body_base64": "***"}', "x", "body_base64 is not base64"),
        ('{"id": "x", "headers": {"Content-Encoding": "dcz"}, "body": ""}', "x", "can't be decoded"),
        (
            '{"id": "x", "headers": {"Content-Encoding": "gzip"}, "body": "z"}',
            "x",
            "gzip body ends too early",
        ),
    ],
)
def test_batch_line_that_can_not_be_used_gets_an_answer_too(
    directory: Path, line: str, answer_id: str | None, error: str
) -> None:
    stdin = f'{line}\n{{"id": "next"}}\n'.encode("utf-8", "surrogateescape")
    result = icapd("scan", "--batch", stdin=stdin)
    assert result.exit_code == 2
    first, second = lines(result)
    assert first["id"] == answer_id
    assert re.search(error, str(first["error"]))
    assert second["id"] == "next"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["scan", "nowhere.txt"], "nowhere.txt"),
        (["scan", "--batch", "icapd.toml"], "leave the file names out"),
        (["scan", "--direction", "up"], "'up' is not one of"),
        (["scna"], "No such command 'scna'"),
        (["rules", "list", "--format", "xml"], "'xml' is not one of"),
    ],
)
def test_wrong_usage_exits_with_2(directory: Path, arguments: list[str], message: str) -> None:
    result = icapd(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_broken_configuration_exits_with_3(directory: Path) -> None:
    (directory / "icapd.toml").write_text("[server]\nlistne = 1\n")
    result = icapd("rules", "list")
    assert result.exit_code == 3
    assert 'key "listne" is unknown (did you mean "listen"?)' in result.stderr


def test_rules_are_listed_as_table_and_as_json(directory: Path) -> None:
    assert "demo.key" in icapd("rules", "list").stdout
    rules = json.loads(icapd("rules", "list", "--format", "json").stdout)
    assert [rule["id"] for rule in rules][:2] == ["demo.key", "demo.attack"]
    assert rules[0]["action"] == "redact"


def test_rules_are_listed_by_tag(directory: Path) -> None:
    tagged = RULES.replace(
        'match = ["ATTACK!"]', 'match = ["ATTACK!"]\ntags = ["owasp-a03"]\nreference = "A book"'
    )
    (directory / "rules" / "demo.toml").write_text(tagged)
    rules = json.loads(icapd("rules", "list", "--tag", "owasp-a03", "--tag", "x", "--format", "json").stdout)
    assert [(rule["id"], rule["tags"], rule["reference"]) for rule in rules] == [
        ("demo.attack", ["owasp-a03"], "A book")
    ]
    assert icapd("rules", "list", "--tag", "owasp-a01").stdout.rstrip().splitlines()[-1].startswith("0 rules")


def test_rules_are_checked_pack_by_pack(directory: Path) -> None:
    expected = f"{directory}/rules:\nok    demo: 6 rules\nok    policy.toml (demo): 6 rules\n"
    assert icapd("rules", "check").stdout == expected
    broken = RULES.replace('match = ["ATTACK!"]', 'match = ["peace"]')
    (directory / "rules" / "demo.toml").write_text(broken)
    result = icapd("rules", "check")
    assert result.exit_code == 3
    assert result.stdout.count('demo.toml: rule "demo.attack": key "match"') == 1


def test_rules_prove_themselves(directory: Path) -> None:
    result = icapd("rules", "test")
    assert (result.exit_code, result.stdout) == (0, "6 rules, 10 examples: all hold\n")


def test_check_has_a_line_for_each_part(directory: Path) -> None:
    migrations.upgrade(f"sqlite:///{directory}/icapd.db")
    result = icapd("check")
    assert result.exit_code == 0
    assert [line.split(":")[0] for line in result.stdout.splitlines()] == [
        "ok    configuration",
        "ok    rules",
        "ok    database",
        "ok    fingerprint key",
        "ok    signing key",
    ]


def test_check_tells_every_fault(directory: Path) -> None:
    (directory / "fingerprint.key").write_text("short")
    (directory / "signing.key").write_text("short")
    (directory / "rules" / "policy.toml").write_text('packs = ["gone"]\n')
    result = icapd("check")
    assert result.exit_code == 3
    assert "FAULT rules: " in result.stdout
    assert "FAULT database: " in result.stdout
    assert "FAULT fingerprint key: " in result.stdout
    assert "FAULT signing key: " in result.stdout


@pytest.mark.parametrize(
    ("not_after", "exit_code", "line"),
    [
        pytest.param(datetime(2999, 1, 1, tzinfo=UTC), 0, "valid until 2999-01-01 00:00 UTC", id="valid"),
        pytest.param(datetime(2020, 1, 1, tzinfo=UTC), 3, "it expired at 2020-01-01 00:00 UTC", id="expired"),
    ],
)
def test_check_looks_at_the_certificate_of_a_tls_listener(
    directory: Path, not_after: datetime, exit_code: int, line: str
) -> None:
    migrations.upgrade(f"sqlite:///{directory}/icapd.db")
    leaf = trustme.CA().issue_cert("icap.example", not_after=not_after)
    (directory / "icapd.pem").write_bytes(leaf.private_key_and_cert_chain_pem.bytes())
    (directory / "icapd.pem").chmod(0o644)
    with (directory / "icapd.toml").open("a") as config:
        config.write('[server]\nlisten_tls = "127.0.0.1:0"\n[tls]\ncertificate = "icapd.pem"\n')
    result = icapd("check")
    assert result.exit_code == exit_code
    (report,) = [text for text in result.stdout.splitlines() if " certificate: " in text]
    assert line in report
    assert ("chmod o-r" in report) == (exit_code == 0)


def test_check_names_a_key_that_does_not_match(directory: Path) -> None:
    migrations.upgrade(f"sqlite:///{directory}/icapd.db")
    leaf, other = (trustme.CA().issue_cert("icap.example") for _ in range(2))
    (directory / "icapd.pem").write_bytes(leaf.cert_chain_pems[0].bytes())
    (directory / "icapd.key").write_bytes(other.private_key_pem.bytes())
    with (directory / "icapd.toml").open("a") as config:
        config.write('[server]\nlisten_tls = "127.0.0.1:0"\n')
        config.write('[tls]\ncertificate = "icapd.pem"\nkey = "icapd.key"\n')
    result = icapd("check")
    assert result.exit_code == 3
    assert f"FAULT certificate: tls.key: {directory}/icapd.key: is not the key of" in result.stdout


def test_every_command_has_help(directory: Path) -> None:
    def visit(command: object, path: list[str]) -> None:
        assert icapd(*path, "--help").exit_code == 0
        help_text = getattr(command, "help", None)
        assert help_text, f"icapd {' '.join(path)} has no help"
        for name, child in getattr(command, "commands", {}).items():
            visit(child, [*path, name])

    visit(main, [])
