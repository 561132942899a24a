"""What can be wrong with a rule: the fault itself, and the nearest right word to offer for it."""

from collections.abc import Iterable
from difflib import get_close_matches


class RuleFault(Exception):
    """One thing wrong under one key of a rule; the loader adds file and rule and makes it a PolicyError."""

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(f"{key}: {problem}")
        self.key, self.problem = key, problem


def suggest(word: str, choices: Iterable[str]) -> str:
    """The end of a message about an unknown word: the choice that was probably meant, else all of them."""
    known = list(choices)
    close = get_close_matches(word, known, n=1)
    if close:
        return f' (did you mean "{close[0]}"?)'
    return f" (known: {', '.join(known) or 'none'})"
