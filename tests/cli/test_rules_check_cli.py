"""`icapd rules check`: faults, and what will be slow."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support.policies import RULES, demo_policy

from icapd.cli import main


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    demo_policy(tmp_path)
    return tmp_path


def check(directory: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["rules", "check", str(directory), *arguments])


def with_note(pattern: str, example: str, more: str = "") -> str:
    """The demonstration pack with another pattern for its rule `demo.note`."""
    rules = RULES.replace('pattern = "NOTE-ME"', f"pattern = '''{pattern}'''\nmax_length = 4096\n{more}")
    return rules.replace('match = ["NOTE-ME"]', f"match = ['''{example}''']").replace(
        'no_match = ["note"]', ""
    )


def test_clean_rules_have_a_line_each(directory: Path) -> None:
    result = check(directory)
    assert (result.exit_code, result.stdout) == (
        0,
        f"{directory}:\nok    demo: 6 rules\nok    policy.toml (demo): 6 rules\n",
    )


def test_pack_that_nothing_names_is_told(directory: Path) -> None:
    pack = RULES.replace("demo.", "spare.")
    (directory / "spare.toml").write_text(pack)
    result = check(directory, "--no-screen")
    assert "ok    demo: 6 rules\n" in result.stdout
    assert "ok    spare: 6 rules, not in use: policy.toml does not name it in packs\n" in result.stdout
    policy = directory / "policy.toml"
    policy.write_text(policy.read_text() + '[[scope]]\nname = "a"\ngroups = ["a"]\nadd_packs = ["spare"]\n')
    assert "ok    spare: 6 rules\n" in check(directory, "--no-screen").stdout


def test_pattern_that_blows_up_is_a_fault(directory: Path) -> None:
    (directory / "demo.toml").write_text(with_note("(?:a|aa|aaa){1,60}(?=b)", "aab"))
    result = check(directory)
    assert result.exit_code == 3
    assert "FAULT demo: 6 rules\n      demo.note: pattern blows up: explosive, more than " in result.stdout
    assert "faults: 1" in result.stderr
    assert check(directory, "--no-screen").exit_code == 0


def test_slow_rules_are_told_as_json_too(directory: Path) -> None:
    (directory / "demo.toml").write_text(with_note(r"\s*\p{Lu}", " A", "unicode = true"))
    result = check(directory, "--format", "json")
    assert result.exit_code == 0
    demo, policy = json.loads(result.stdout)
    assert [(note["rule"], note["kind"]) for note in demo["notes"]] == [
        ("demo.note", "always"),
        ("demo.note", "super-linear"),
    ]
    assert (policy["name"], policy["rules"], policy["fault"]) == ("policy.toml (demo)", 6, None)


def test_long_reach_is_told(directory: Path) -> None:
    rules = RULES.replace('pattern = "NOTE-ME"', 'pattern = "NOTE-ME"\nmax_length = 20_000')
    (directory / "demo.toml").write_text(rules)
    assert "demo.note: a body that flows holds back 20000 bytes for it" in check(directory).stdout
