"""The evaluation: no figure is worse than its floor, and what judges can tell good from bad."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.evaluation.case import Case, request, response
from bench.evaluation.floors import read_floors
from bench.evaluation.remains import is_clean
from bench.evaluation.run import Outcome
from bench.evaluation.score import Figure, figures, keeps_shape
from bench.evaluation.sets import SETS

ROOT = Path(__file__).parents[2]
SECRET = b"q7Zx2LmP9vKt4RwB"


@pytest.mark.slow
def test_no_figure_is_worse_than_its_floor() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "bench.evaluation", "--format", "json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    measured = {(row["family"], row["measure"]) for row in json.loads(run.stdout)}
    assert measured >= read_floors().keys()


@pytest.mark.parametrize("name", SETS)
def test_cases_are_the_same_in_every_run(name: str) -> None:
    assert list(SETS[name]()) == list(SETS[name]())


@pytest.mark.parametrize(
    ("left", "clean"),
    [
        pytest.param(b"key=[REDACTED]", True, id="gone"),
        pytest.param(b"key=q7Zx2Lm", True, id="less-than-half"),
        pytest.param(b"key=q7Zx2LmP", False, id="first-half"),
        pytest.param(b"..mP9vKt4R..", False, id="middle"),
        pytest.param(b'{"a": "\\u0071\\u0037Zx2LmP9v"}', False, id="json-escapes"),
        pytest.param(b"&#113;7Zx2LmP9v", False, id="character-references"),
        pytest.param(b"a=%71%37Zx2LmP9v", False, id="percent"),
        pytest.param(b'{"a": "{\\"b\\": \\"\\\\u00717Zx2LmP9v\\"}"}', False, id="json-in-json"),
    ],
)
def test_what_is_left_of_a_secret_is_seen_in_any_spelling(left: bytes, clean: bool) -> None:
    assert is_clean(SECRET, left) is clean


def test_each_line_of_a_key_counts() -> None:
    lines = SECRET + b"\n" + SECRET.swapcase()
    assert not is_clean(lines, b"[REDACTED]\n" + SECRET.swapcase()[8:])


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [
        pytest.param(b'{"a": [1, "b"]}', b'{"a": [0, "[REDACTED]"]}', True, id="redacted"),
        pytest.param(b'{"a": 1}', b'{"a": "1"}', False, id="other-type"),
        pytest.param(b'{"a": 1}', b'{"b": 1}', False, id="other-key"),
        pytest.param(b'{"a": "x"}', b'{"a": "}', False, id="broken"),
        pytest.param(b"no json", b"none", True, id="never-was"),
    ],
)
def test_the_shape_of_json_is_compared(before: bytes, after: bytes, kept: bool) -> None:
    assert keeps_shape(before, after) is kept


def outcome(case: Case, body: bytes, *blocking: str) -> Outcome:
    return Outcome(case, body, case.url, blocking, blocking)


def test_figures_are_shares_of_what_was_sent() -> None:
    text = b"a" * 90 + SECRET
    harmless = response("pages", "text/plain", text)
    attack = request("sql", "text/plain", b"1 or 1=1", harmful=True)
    ordinary = request("forms", "text/plain", b"a=1")
    measured = figures(
        [
            ("secrets", outcome(response("known", "text/plain", text, SECRET), b"a" * 90 + b"[REDACTED]")),
            ("secrets", outcome(response("known", "text/plain", text, SECRET), text)),
            ("responses", outcome(harmless, b"a" * 90 + b"[REDACTED]")),
            ("responses", outcome(harmless, text)),
            ("attacks", outcome(attack, attack.body, "attacks.sql")),
            ("attacks", outcome(attack, attack.body)),
            ("requests", outcome(ordinary, ordinary.body, "attacks.sql")),
            ("requests", outcome(ordinary, ordinary.body, "credentials.x")),
        ]
    )
    values = {(figure.family, figure.measure): figure.value for figure in measured}
    assert values["known", "clean"] == values["secrets", "clean"] == 50
    assert values["pages", "changed"] == 50
    assert values["pages", "changed bytes"] == pytest.approx(100 * len(SECRET) / (2 * len(text)))
    assert values["attacks", "blocked attacks"] == 50
    assert (values["forms", "blocked"], values["forms", "blocked by credentials"]) == (100, 50)


def test_a_floor_is_the_least_of_what_should_be_high_and_the_most_of_all_else() -> None:
    from bench.evaluation.floors import Floor

    assert Floor(95, 90).missed_by(Figure("known", "clean", 89.9, 100))
    assert not Floor(95, 90).missed_by(Figure("known", "clean", 90, 100))
    assert Floor(1, 2).missed_by(Figure("pages", "changed", 2.1, 100))
    assert not Floor(1, 2).missed_by(Figure("pages", "changed", 0, 100))
    assert not Floor(95, None).missed_by(Figure("known", "clean", 0, 100))
