"""`scripts/fuzz`: runs targets for a while from the saved corpus, and says what was found."""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from support.fuzz_corpus import WORDS, file_of, load, save
from support.fuzz_seeds import SEEDS

_STATISTICS = re.compile(r"stat::number_of_executed_units:\s+(\d+)")
_COVERAGE = re.compile(r"cov: (\d+) ft: (\d+)")
#: Bytes of an input: enough for two requests.
_MAX_LENGTH = 2048


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(SEEDS)}; none: all")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default: 60)")
    parser.add_argument("--runs", type=int, help="at most so many for each target, however long they take")
    parser.add_argument(
        "--seed", type=int, default=0, help="the same runs again (default: 0, others each time)"
    )
    parser.add_argument("--save", action="store_true", help="add what reached new places to the corpus")
    arguments = parser.parse_args()
    if unknown := set(arguments.targets) - set(SEEDS):
        parser.error(f"no target {', '.join(sorted(unknown))}; there are {', '.join(SEEDS)}")
    budget = f"-runs={arguments.runs}" if arguments.runs else f"-max_total_time={arguments.seconds}"
    failed = [
        target
        for target in arguments.targets or SEEDS
        if not fuzz(target, budget, arguments.seed, keep=arguments.save)
    ]
    return 1 if failed else 0


def say(line: str) -> None:
    """Now, and not when the next target is done."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def fuzz(target: str, budget: str, seed: int, *, keep: bool = False) -> bool:
    """One target, as far as libFuzzer's option for the budget goes; whether nothing was found."""
    with tempfile.TemporaryDirectory(prefix="icapd-fuzz-") as name:
        directory = Path(name)
        inputs, found = directory / "inputs", directory / "found"
        inputs.mkdir()
        found.mkdir()
        for number, data in enumerate([*SEEDS[target], *load(target)]):
            (inputs / f"{number:04}").write_bytes(data)
        options = [budget, f"-seed={seed}", f"-dict={WORDS}", f"-artifact_prefix={found}/"]
        run = _work(target, *options, "-print_final_stats=1", str(inputs))
        count, coverage = _STATISTICS.search(run.stderr), _COVERAGE.findall(run.stderr)
        places = coverage[-1][0] if coverage else "?"
        say(f"{target}: {count[1] if count else '?'} runs, {places} places reached")
        artifacts = sorted(found.iterdir())
        for artifact in artifacts:
            say(f"found: add this line to {file_of(target)}, and mend it:\n{artifact.read_bytes()!r}")
        if run.returncode:
            sys.stderr.write(run.stdout + run.stderr)
        elif keep:
            say(f"{target}: {save(target, _smallest(target, inputs, directory))} new inputs saved")
        return run.returncode == 0 and not artifacts


def _smallest(target: str, inputs: Path, directory: Path) -> list[bytes]:
    """As few inputs as reach everything that the corpus does not reach yet."""
    known, merged = directory / "known", directory / "merged"
    known.mkdir()
    merged.mkdir()
    # libFuzzer starts itself again for this, by the name it was given: a program that runs this target.
    program = directory / "again"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m support.fuzz_worker {target} "$0" "$@"\n')
    program.chmod(0o700)
    for number, data in enumerate(load(target)):
        (merged / f"{number:04}").write_bytes(data)
    before = {file.read_bytes() for file in merged.iterdir()}
    run = _work(target, "-merge=1", str(merged), str(inputs), program=str(program))
    if run.returncode:
        raise SystemExit(f"libFuzzer could not merge:\n{run.stderr}")
    return [data for file in merged.iterdir() if (data := file.read_bytes()) not in before]


def _work(target: str, *options: str, program: str = "fuzz") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "support.fuzz_worker", target, program, f"-max_len={_MAX_LENGTH}"]
    command += ["-timeout=10", "-rss_limit_mb=1024", *options]
    # The order of sets, too, is the same with the same seed.
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    return subprocess.run(
        command, check=False, capture_output=True, text=True, errors="replace", env=environment
    )


if __name__ == "__main__":
    sys.exit(main())
