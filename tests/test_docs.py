"""The documentation knows every command, every setting, every key of a rule and every column."""

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import get_args

import click
import pytest

from icapd.audit import Disposition
from icapd.audit.tables import audit_event, audit_finding
from icapd.cli import main
from icapd.policy import Rule, load_policy
from icapd.policy.policy_tables import Body, ExceptionTable, Override, PolicyFile, ScopeTable, Thresholds
from icapd.policy.rule import PLAIN_TARGETS, MaskName
from icapd.policy.uninspected import REASONS
from icapd.policy.validators import MEASURES, VALIDATORS

ROOT = Path(__file__).parent.parent
OPERATIONS = (ROOT / "docs" / "operations.md").read_text("utf-8")
RULES = (ROOT / "docs" / "rules.md").read_text("utf-8")
POLICY = (ROOT / "docs" / "policy.md").read_text("utf-8")
AUDIT = (ROOT / "docs" / "audit.md").read_text("utf-8")


def commands(group: click.Group, path: str = "") -> Iterator[str]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{path}{name} ")
        else:
            yield path + name


@pytest.mark.parametrize("command", list(commands(main)))
def test_command_is_in_operations(command: str) -> None:
    assert f"{command}`" in OPERATIONS


@pytest.mark.parametrize("key", Rule.__struct_fields__)
def test_key_of_a_rule_is_explained(key: str) -> None:
    assert f"`{key}`" in RULES


POLICY_KEYS = [
    key
    for table in (PolicyFile, ScopeTable, ExceptionTable, Body, Override, Thresholds)
    for key in table.__struct_fields__
]


@pytest.mark.parametrize("key", [*dict.fromkeys(POLICY_KEYS), *REASONS])
def test_key_of_the_policy_is_explained(key: str) -> None:
    assert f"`{key}`" in POLICY


def test_examples_of_the_policy_are_toml_that_loads(tmp_path: Path) -> None:
    for pack in ("credentials", "attacks", "content", "pii"):
        (tmp_path / f"{pack}.toml").write_bytes((ROOT / "rules" / f"{pack}.toml").read_bytes())
    example = re.search(r"```toml\n(.*?)```", POLICY, re.DOTALL)
    assert example is not None
    (tmp_path / "policy.toml").write_text(example[1])
    policy = load_policy(tmp_path, today=date(2027, 1, 1))
    assert (len(policy.scopes), len(policy.exceptions)) == (1, 1)


def test_commented_examples_of_the_shipped_policy_load(tmp_path: Path) -> None:
    for pack in ("credentials", "attacks", "content", "pii"):
        (tmp_path / f"{pack}.toml").write_bytes((ROOT / "rules" / f"{pack}.toml").read_bytes())
    text = (ROOT / "rules" / "policy.toml").read_text("utf-8")
    settings = re.findall(r"^(?:# )?((?:\[.*\]|\w[\w-]* = .+))$", text, re.MULTILINE)
    (tmp_path / "policy.toml").write_text("\n".join(settings))
    policy = load_policy(tmp_path, today=date(2027, 1, 1))
    assert (len(policy.scopes), len(policy.exceptions), policy.profile.thresholds.block) == (2, 1, 90)


@pytest.mark.parametrize("target", PLAIN_TARGETS)
def test_target_is_explained(target: str) -> None:
    assert f"`{target}`" in RULES


@pytest.mark.parametrize("validator", [*VALIDATORS, *(f"{measure}>=N" for measure in MEASURES)])
def test_validator_is_named(validator: str) -> None:
    assert f"`{validator}`" in RULES


@pytest.mark.parametrize("mask", get_args(MaskName))
def test_mask_is_shown(mask: str) -> None:
    assert f"| `{mask}`" in RULES


def test_examples_of_rules_are_sound(tmp_path: Path) -> None:
    house = [table for table in re.findall(r"```toml\n(.*?)```", RULES, re.DOTALL) if "[[rule]]" in table]
    assert len(house) == 4
    (tmp_path / "house.toml").write_text("\n".join(house), encoding="utf-8")
    assert len(load_policy(tmp_path, packs=["house"]).rules) == 4


@pytest.mark.parametrize("column", [*audit_event.columns.keys(), *audit_finding.columns.keys()])
def test_column_is_explained(column: str) -> None:
    assert f"`{column}`" in AUDIT


@pytest.mark.parametrize("disposition", get_args(Disposition))
def test_disposition_is_explained(disposition: str) -> None:
    assert f"| `{disposition}` |" in AUDIT


@pytest.mark.parametrize("pack", sorted(path.stem for path in (ROOT / "rules").glob("*.toml")))
def test_pack_is_introduced(pack: str) -> None:
    assert f"`{pack}`" in RULES or f"**{pack}.toml**" in RULES


PAGES = sorted({ROOT / "README.md", *(ROOT / "docs").rglob("*.md")})
_LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)")


def anchors(page: Path) -> set[str]:
    """As a forge makes them of headings."""
    titles = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in _LINK.findall(page.read_text("utf-8")):
        found = (page.parent / target).resolve() if target else page
        assert found.exists(), target
        if anchor:
            assert anchor in anchors(found), f"{target}#{anchor}"
