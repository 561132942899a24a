"""`icapd rules import`, as it is typed: from a configuration to a finding."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from icapd.cli import main

GITLEAKS = """
[[rules]]
id = "tkt"
description = "Ticket"
regex = '''\\btkt_([[:alnum:]]{24})\\b'''
keywords = ["tkt_"]
"""


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "gitleaks.toml").write_text(GITLEAKS)
    (tmp_path / "rules").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def icapd(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_imported_pack_is_checked_and_finds(directory: Path) -> None:
    result = icapd("rules", "import", "gitleaks.toml", "--output", "rules/house.toml")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "1 rules imported, 0 left out\n")
    (directory / "rules" / "policy.toml").write_text('packs = ["house"]\n')
    assert icapd("rules", "check", "rules").exit_code == 0
    (directory / "a.txt").write_text("my tkt_Ab3dEf6hIj9lMn2pQr5tUv8x.")
    scanned = icapd("scan", "--rules", "rules", "a.txt")
    assert scanned.exit_code == 1
    assert "house.tkt" in scanned.stdout


def test_pack_goes_to_standard_output(directory: Path) -> None:
    result = icapd("rules", "import", "gitleaks.toml", "--pack", "mine")
    assert result.exit_code == 0
    assert 'id = "mine.tkt"' in result.stdout


def test_what_is_left_out_is_listed_and_exits_with_1(directory: Path) -> None:
    (directory / "gitleaks.toml").write_text(GITLEAKS + '[[rules]]\nid = "odd"\nregex = "[(?=a)"\n')
    result = icapd("rules", "import", "gitleaks.toml")
    assert result.exit_code == 1
    assert "odd (the whole rule)" in result.stderr
    assert "1 rules imported, 1 left out" in result.stderr
    report = json.loads(icapd("rules", "import", "gitleaks.toml", "--format", "json").stderr)
    assert report["rules"] == ["gitleaks.tkt"]
    assert [(left["rule"], left["key"], left["whole_rule"]) for left in report["left_out"]] == [
        ("odd", "regex", True)
    ]


def test_word_lists_are_told_by_their_names(directory: Path) -> None:
    (directory / "words.txt").write_text("halibut\n")
    (directory / "words.csv").write_text("word,action\nhalibut,block\n")
    assert 'action = "log"' in icapd("rules", "import", "words.txt").stdout
    assert 'action = "block"' in icapd("rules", "import", "words.csv").stdout
    assert icapd("rules", "import", "words.txt", "--from", "csv").exit_code == 3


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["gone.toml"], 2, "gone.toml"),
        (["gitleaks.toml", "--output", "rules/a.txt"], 2, "ends in .toml"),
        (["gitleaks.toml", "--output", "rules/policy.toml"], 2, 'can\'t be called "policy"'),
        (["gitleaks.toml", "--output", "rules/A.toml"], 2, "lower-case letters"),
        (["gitleaks.toml", "--output", "rules/a.toml", "--pack", "b"], 2, "write --output rules/b.toml"),
        (["gitleaks.toml", "--output", "gitleaks.toml"], 2, "--force replaces it"),
        (["gitleaks.toml", "--output", "nowhere/a.toml"], 3, "nowhere/a.toml: can't be written"),
        (["empty.txt"], 3, "none of its rules can be carried over"),
    ],
)
def test_wrong_usage(directory: Path, arguments: list[str], exit_code: int, message: str) -> None:
    (directory / "empty.txt").write_text("")
    result = icapd("rules", "import", *arguments)
    assert result.exit_code == exit_code
    assert message in result.stderr
