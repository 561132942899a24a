"""The saved corpus: for each target one text file, each line an input as Python writes bytes.

Lines are easy to read, to compare and to add by hand; a comment says where one came from.
"""

import ast
from collections.abc import Iterable
from pathlib import Path

CORPUS = Path(__file__).parents[1] / "fuzz" / "corpus"
WORDS = CORPUS.with_name("words.dict")


def file_of(target: str) -> Path:
    return CORPUS / f"{target}.txt"


def load(target: str) -> list[bytes]:
    """The inputs of a target; none when it has no file yet."""
    file = file_of(target)
    lines = file.read_text("ascii").splitlines() if file.exists() else []
    return [ast.literal_eval(line) for line in lines if line and not line.startswith("#")]


def save(target: str, inputs: Iterable[bytes]) -> int:
    """Add what is new, shortest first; returns how many that were."""
    known = set(load(target))
    new = sorted(set(inputs) - known, key=lambda data: (len(data), data))
    with file_of(target).open("a", encoding="ascii") as file:
        file.writelines(f"{data!r}\n" for data in new)
    return len(new)
