"""The fuzz targets over what is known, and a few thousand steps beyond; `scripts/fuzz` goes on from there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.fuzz_corpus import CORPUS, load
from support.fuzz_seeds import SEEDS
from support.fuzz_targets import TARGETS

#: For each target. The same ones each time: what is found must be found again.
RUNS, SEED = 5000, 1


def test_each_target_has_seeds_and_a_corpus() -> None:
    assert set(TARGETS) == set(SEEDS) == {file.stem for file in CORPUS.glob("*.txt")}


@pytest.mark.parametrize("target", TARGETS)
def test_saved_inputs_do_no_harm(target: str) -> None:
    """Whatever once broke something is among them."""
    for data in [b"", *SEEDS[target], *load(target)]:
        TARGETS[target](data)


@pytest.mark.parametrize("target", TARGETS)
@given(st.data())
@settings(max_examples=50)
def test_bytes_spliced_from_saved_inputs_do_no_harm(target: str, data: st.DataObject) -> None:
    """A little of what the fuzzer does, where there is none."""
    inputs = st.sampled_from([*SEEDS[target], *load(target)])
    first, second = data.draw(inputs), data.draw(inputs)
    at, behind = data.draw(st.integers(0, len(first))), data.draw(st.integers(0, len(second)))
    TARGETS[target](first[:at] + data.draw(st.binary(max_size=3)) + second[behind:])


@pytest.mark.slow
def test_a_little_fuzzing_finds_nothing() -> None:
    pytest.importorskip("atheris", reason="no atheris for this interpreter")
    run = subprocess.run(
        [sys.executable, "-m", "support.fuzz_run", "--runs", str(RUNS), "--seed", str(SEED)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
