"""Which rules are worth running on a text: those that one pass says may match, and whose limits it keeps."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

import hyperscan

from icapd.policy import one_pass
from icapd.policy.databases import Databases
from icapd.policy.matching import CompiledRule, holds_one
from icapd.policy.one_pass import Expression, OnePass
from icapd.policy.relaxed import searchable, together

# Bytes. In a longer text a keyword is looked for where the rule is run.
_SHORT = 4096
_NOBODY: frozenset[int] = frozenset()


class Prefilter:
    """The rules on one target.

    A rule is a candidate where its pattern may match, as far as that can be told in one pass; one whose
    pattern Hyperscan can't take, where one of its keywords occurs; without keywords as well, everywhere.
    Nearly every text has no candidate at all.
    """

    __slots__ = ("_always", "_numbers_of", "_of_values", "_one_pass", "_rules")

    def __init__(
        self,
        rules: Sequence[CompiledRule],
        of_pass: OnePass,
        numbers_of: Sequence[frozenset[int]],
        always: frozenset[int],
        *,
        of_values: bool,
    ) -> None:
        """`numbers_of`: by the number of an expression in the pass, those of the rules it speaks for.

        `always`: those that no expression speaks for. `of_values`: texts are single values, to which the
        rules' limits on values apply.
        """
        self._rules = rules
        self._one_pass = of_pass
        self._numbers_of = numbers_of
        self._always = always
        self._of_values = of_values

    def narrowed(self, rules: Iterable[CompiledRule]) -> "Prefilter":
        """The prefilter of some of its rules; it shares the database."""
        kept = set(rules)
        numbers = {number for number, rule in enumerate(self._rules) if rule in kept}
        numbers_of = [members & numbers for members in self._numbers_of]
        always = self._always & numbers
        return Prefilter(self._rules, self._one_pass, numbers_of, always, of_values=self._of_values)

    def may_match_within(self, text: bytes) -> bool:
        """False when surely no part of the text has a candidate.

        A pattern that is bound to the beginning of a value is looked for in mid-text as well: what one pass
        looks for has no such bounds.
        """
        return any(self._with_keywords(self._numbers(searchable(text)), text))

    def may_match_one_of(self, texts: Sequence[bytes]) -> bool:
        """False when surely none of the texts has a candidate."""
        text = together(texts)
        return any(self._with_keywords(self._numbers(text), text))

    @property
    def always(self) -> tuple[CompiledRule, ...]:
        """The rules that run on every text, because neither keywords nor the one pass speak for them."""
        return tuple(self._rules[number] for number in sorted(self._always))

    def candidates(self, text: bytes) -> Sequence[CompiledRule]:
        """The rules that can have a match in the text, in their order."""
        numbers = self._numbers(searchable(text))
        if not numbers:
            return ()
        rules: Iterable[CompiledRule] = map(self._rules.__getitem__, sorted(numbers))
        if len(text) < _SHORT:
            rules = self._with_keywords(sorted(numbers), text)
        return [rule for rule in rules if rule.takes(text)] if self._of_values else list(rules)

    def _numbers(self, text: bytes) -> frozenset[int]:
        """Of the rules that one pass says may match, and of those that it can say nothing of."""
        occurring = self._one_pass.occurring(text)
        if not occurring and not self._always:
            return _NOBODY
        return self._always.union(*map(self._numbers_of.__getitem__, occurring))

    def _with_keywords(self, numbers: Iterable[int], text: bytes) -> Iterator[CompiledRule]:
        """Those whose keywords the text has, of rules that have some."""
        lowered = text.lower()
        for number in numbers:
            rule = self._rules[number]
            if not rule.keywords or holds_one(rule.keywords, lowered):
                yield rule


def make_prefilter(
    rules: Sequence[CompiledRule], databases: Databases | None, *, of_values: bool
) -> Prefilter:
    """The prefilter of these rules; without `databases` one that leaves nothing out."""
    if databases is None:
        return Prefilter(rules, OnePass(None), (), frozenset(range(len(rules))), of_values=of_values)
    try:
        of_pass, numbers_of = _make_pass(rules, databases, lambda _: True)
    except hyperscan.error:
        # One of them is too much for it, and it does not say which.
        of_pass, numbers_of = _make_pass(rules, databases, databases.takes)
    always = frozenset(range(len(rules))).difference(*numbers_of)
    return Prefilter(rules, of_pass, numbers_of, always, of_values=of_values)


def _make_pass(
    rules: Sequence[CompiledRule], databases: Databases, takes: Callable[[Expression], bool]
) -> tuple[OnePass, list[frozenset[int]]]:
    """A pass for rules, and which of them each expression speaks for; `takes`: whether it can be one."""
    by_expression: dict[Expression, set[int]] = {}
    for number, rule in enumerate(rules):
        for expression in _expressions(rule, takes):
            by_expression.setdefault(expression, set()).add(number)
    return databases.one_pass(list(by_expression)), [*map(frozenset, by_expression.values())]


def _expressions(rule: CompiledRule, takes: Callable[[Expression], bool]) -> tuple[Expression, ...]:
    """What one pass is to look for on the rule's account; nothing when the rule always has to run."""
    if rule.pattern is not None and not rule.unicode and not rule.is_known_by_words:
        expression = one_pass.as_expression(rule.pattern.pattern, rule.rule.ignore_case)
        if expression is not None and takes(expression):
            return (expression,)
    if rule.near is not None and not rule.rule.keywords:
        return tuple(chain.from_iterable(map(one_pass.near_word, sorted(rule.keywords))))
    return tuple(map(one_pass.word, sorted(rule.keywords)))
