"""Builders for the policy's tests: rules from keys, rule files from text."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from icapd.policy import CompiledRule, Rule
from icapd.policy.matching import compile_rule

DEFAULTS = {
    "id": "test.rule",
    "description": "a rule",
    "targets": ["body"],
    "action": "log",
    "severity": "low",
}


@pytest.fixture(scope="session")
def compiled() -> Callable[..., CompiledRule]:
    """compiled(pattern="a+") is that rule, ready to run, with every other key at a plain value."""

    def make(*, in_order: bool = False, policy_mode: str = "enforce", **keys: Any) -> CompiledRule:
        rule = msgspec.convert({**DEFAULTS, **keys}, Rule)
        return compile_rule(rule, mode=policy_mode, in_order=in_order)

    return make


@pytest.fixture
def rule_files(tmp_path: Path) -> Callable[..., Path]:
    """rule_files(pci="...", policy="...") writes pci.toml and policy.toml, and gives their directory."""

    def write(**files: str) -> Path:
        for name, text in files.items():
            (tmp_path / f"{name}.toml").write_text(text, encoding="utf-8")
        return tmp_path

    return write
