"""Which rules are worth running on a text: those that one pass says may match, and whose limits it keeps."""

from collections.abc import Iterable, Sequence

from icapd.policy import one_pass
from icapd.policy.matching import CompiledRule
from icapd.policy.one_pass import OnePass


class Prefilter:
    """The rules on one target that share their limits on values.

    A rule with keywords is a candidate where one of them occurs; one without, where its pattern may match, as
    far as that can be told in one pass; else everywhere. Nearly every text has no candidate at all.
    """

    __slots__ = ("_always", "_by_words", "_max_length", "_max_lines", "_one_pass", "_rules_of", "rules")

    def __init__(
        self, rules: Iterable[CompiledRule], max_length: int | None = None, max_lines: int | None = None
    ) -> None:
        self.rules = tuple(rules)
        self._max_length, self._max_lines = max_length, max_lines
        by_expression: dict[tuple[bytes, int], set[int]] = {}
        always = set()
        for number, rule in enumerate(self.rules):
            for expression in (expressions := _expressions(rule)):
                by_expression.setdefault(expression, set()).add(number)
            if not expressions:
                always.add(number)
        self._always = frozenset(always)
        # A pattern may be bound to the beginning of a value, and not match in the middle of a text.
        self._by_words = not always and all(rule.keywords for rule in self.rules)
        self._one_pass = OnePass(tuple(by_expression))
        #: By the number of an expression: the numbers of the rules that it speaks for.
        self._rules_of = tuple(by_expression.values())

    @classmethod
    def by_limits(cls, rules: Iterable[CompiledRule]) -> "tuple[Prefilter, ...]":
        """One for each pair of limits on field values among the rules."""
        groups: dict[tuple[int | None, int | None], list[CompiledRule]] = {}
        for rule in rules:
            limits = rule.rule.max_value_length, rule.rule.max_value_lines
            groups.setdefault(limits, []).append(rule)
        return tuple(cls(members, *limits) for limits, members in groups.items())

    @property
    def always(self) -> tuple[CompiledRule, ...]:
        """The rules that run on every text, because neither keywords nor the one pass speak for them."""
        return tuple(self.rules[number] for number in sorted(self._always))

    def may_match_within(self, text: bytes) -> bool:
        """False when surely no part of the text has a candidate; limits count for the parts only."""
        return not self._by_words or bool(self._one_pass.occurring(text))

    def candidates(self, text: bytes) -> Sequence[CompiledRule]:
        """The rules that can have a match in the text, in their order."""
        if self._max_length is not None and len(text) > self._max_length:
            return ()
        if self._max_lines is not None and text.count(b"\n") > self._max_lines:
            return ()
        numbers = set(self._always)
        for occurring in self._one_pass.occurring(text):
            numbers |= self._rules_of[occurring]
        return [self.rules[number] for number in sorted(numbers)]


def _expressions(rule: CompiledRule) -> tuple[tuple[bytes, int], ...]:
    """What one pass is to look for on the rule's account; nothing when the rule always has to run."""
    if rule.keywords:
        return tuple(map(one_pass.word, rule.keywords))
    if rule.pattern is None or rule.unicode:
        return ()
    expression = one_pass.as_expression(rule.pattern.pattern, rule.rule.ignore_case)
    return (expression,) if expression else ()
