"""docs/conformance.md has every line of the bar, and each test that it names exists."""

import re
from pathlib import Path

import pytest

from icapd.conformance import CHECKS

TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "docs" / "conformance.md").read_text("utf-8")
_ROW = re.compile(r"\| (\d+) \| (MUST|SHOULD) \| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|")
ROWS = {int(row[1]): row for row in map(_ROW.fullmatch, PAGE.splitlines()) if row is not None}
_TEST = re.compile(r"`(test_\w+\.py)::(test_\w+)`")
NAMED = sorted({(match[1], match[2]) for match in _TEST.finditer(PAGE)})


def test_bar_has_78_lines() -> None:
    assert list(CHECKS) == list(range(1, 79))


@pytest.mark.parametrize("line", CHECKS)
def test_line_is_in_the_table_with_its_tests(line: int) -> None:
    _, level, requirement, status, without_socket, over_sockets = ROWS[line].groups()
    assert (level, requirement) == (CHECKS[line].level.value, CHECKS[line].requirement)
    assert re.match(r"holds\b|not yet\b", status)
    assert _TEST.match(over_sockets)
    assert _TEST.match(without_socket) or without_socket == "-"


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_named_test_exists(file: str, name: str) -> None:
    (path,) = TESTS.rglob(file)
    assert re.search(rf"^(?:async )?def {name}\(", path.read_text("utf-8"), re.MULTILINE)
