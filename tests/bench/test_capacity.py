"""The table of docs/scale.md is what the measured figures give."""

import tomllib
from dataclasses import replace

import pytest

from bench.capacity import DOCUMENT, GENERATED, ROOT, Figures, Need, generated, written

FIGURES = Figures.read()


def test_the_table_in_the_document_is_not_stale() -> None:
    found = GENERATED.search(DOCUMENT.read_text("utf-8"))
    assert found is not None
    assert found[0] == generated(), "run `python -m bench.capacity --write`"


def test_every_figure_has_the_command_that_measured_it() -> None:
    tables = tomllib.loads((ROOT / "bench" / "capacity.toml").read_text("utf-8"))
    for name, table in tables.items():
        assert "command" in table or table["what"].startswith("supposed: "), name


def test_what_is_needed_grows_with_the_requests_and_disk_with_the_share() -> None:
    figures = replace(FIGURES, squid_1k=1e-4, squid_100k=1e-4, body_kb=1, load=0.5, database_rate=1000)
    one = Need.of(1000, 1.0, figures)
    assert (one.squid_cores, one.records, one.cells) == (1, 2000, 4)
    # A hair more than a whole one is another one.
    assert Need.of(5001, 1.0, figures).squid_cores == 2
    tenth = Need.of(1000, 0.1, figures)
    assert (tenth.squid_cores, tenth.records, tenth.cells) == (1, 200, 1)
    assert tenth.month == pytest.approx(one.month / 10)
    assert tenth.icapd_cores <= one.icapd_cores


def test_a_body_between_the_two_that_were_measured_costs_between_them() -> None:
    costs = [replace(FIGURES, body_kb=size).icapd for size in (1, 16, 100)]
    assert costs == sorted(costs)
    assert (costs[0], costs[2]) == (FIGURES.icapd_1k, FIGURES.icapd_100k)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        pytest.param(0, "0.0 B", id="nothing"),
        pytest.param(1500, "1.5 kB", id="kilo"),
        pytest.param(45e12, "45 TB", id="tera"),
        pytest.param(2.5e18, "2500 PB", id="beyond-the-last-unit"),
    ],
)
def test_sizes_are_written_for_people(size: float, text: str) -> None:
    assert written(size) == text
