"""The grammars of attacks: every name that they use is one of theirs, and no text keeps one."""

import re
import tomllib
from pathlib import Path

import pytest

from bench.evaluation.attacks import CARRIERS, FAMILIES, carrier_cases
from bench.evaluation.grammar import GRAMMARS, texts


@pytest.mark.parametrize("path", sorted(GRAMMARS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_alternative_names_what_is_there(path: Path) -> None:
    tables = tomllib.loads(path.read_text("utf-8"))
    used = {
        name
        for alternatives in tables.values()
        if isinstance(alternatives, list)
        for text in alternatives
        for name in re.findall("«(.+?)»", text)
    }
    assert used <= tables.keys()


@pytest.mark.parametrize(("language", "start"), FAMILIES.values(), ids=FAMILIES)
def test_texts_differ_and_are_all_drawn_out(language: str, start: str) -> None:
    drawn = texts(language, start, 100, "x")
    assert len(set(drawn)) == len(drawn) > 3
    assert not any("«" in text for text in drawn)
    assert drawn == texts(language, start, 100, "x")


def test_every_carrier_carries() -> None:
    assert {case.family for case in carrier_cases()} == {f"in a {carrier}" for carrier in CARRIERS}
