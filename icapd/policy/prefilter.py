"""Which rules are worth running on a text: those whose keywords it holds, and whose limits it keeps."""

from collections.abc import Iterable, Sequence

from icapd.policy.keywords import Keywords
from icapd.policy.matching import CompiledRule


class Prefilter:
    """The rules on one target that share their limits on values; finds candidates with a few fast look-ups.

    Nearly every text holds no keyword at all, so that case is the short one.
    """

    __slots__ = ("_keywords", "_max_length", "_max_lines", "_unconditional", "rules")

    def __init__(
        self, rules: Iterable[CompiledRule], max_length: int | None = None, max_lines: int | None = None
    ) -> None:
        self.rules = tuple(rules)
        self._keywords = Keywords(keyword for rule in self.rules for keyword in rule.keywords)
        self._unconditional = tuple(rule for rule in self.rules if not rule.keywords)
        self._max_length, self._max_lines = max_length, max_lines

    @classmethod
    def by_limits(cls, rules: Iterable[CompiledRule]) -> "tuple[Prefilter, ...]":
        """One for each pair of limits on field values among the rules."""
        groups: dict[tuple[int | None, int | None], list[CompiledRule]] = {}
        for rule in rules:
            limits = rule.rule.max_value_length, rule.rule.max_value_lines
            groups.setdefault(limits, []).append(rule)
        return tuple(cls(members, *limits) for limits, members in groups.items())

    def candidates(self, text: bytes) -> Sequence[CompiledRule]:
        """The rules that can have a match in the text, in their order."""
        if self._max_length is not None and len(text) > self._max_length:
            return ()
        if self._max_lines is not None and text.count(b"\n") > self._max_lines:
            return ()
        if not self._keywords.words:
            return self.rules
        present = self._keywords.present(text)
        if not present:
            return self._unconditional
        return [rule for rule in self.rules if not rule.keywords or not rule.keywords.isdisjoint(present)]
