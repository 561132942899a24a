"""Which rules are worth running on a text: those that one pass says may match, and whose limits it keeps."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple, Protocol

import hyperscan

from icapd.policy import one_pass
from icapd.policy.databases import Databases
from icapd.policy.keyword_search import holds_one
from icapd.policy.matching import CompiledRule
from icapd.policy.one_pass import Expression
from icapd.policy.relaxed import searchable, together
from icapd.policy.rule import VALUE_TARGETS
from icapd.policy.shapes import MAX_REACH, SHAPES, ShapedPass, has_shape

# Bytes. In a longer text a keyword is looked for where the rule is run.
_SHORT = 4096
# Bytes. Behind a shorter word that is to be reported once, Hyperscan 5.4 misses what else begins with it.
_MIN_WORD = 2
# Bytes of a match that are looked for: the windows of a body overlap by no more on this account.
_MAX_LENGTH = 1024
# Fewer patterns are looked for with all others.
_MIN_SHAPED = 4


class _Pass(Protocol):
    """Looks for expressions, each with a number."""

    def occurring(self, text: bytes) -> set[int]: ...


#: A pass, and by the number of each of its expressions the numbers of the rules that it speaks for.
_Told = tuple[_Pass, Sequence[frozenset[int]]]


class Prefilter:
    """The rules on one target.

    A rule is a candidate where its pattern may match, as far as that can be told in one pass; one whose
    pattern Hyperscan can't take, where one of its keywords occurs; without keywords as well, everywhere.
    Nearly every text has no candidate at all.
    """

    __slots__ = ("_always", "_margin", "_of_values", "_rules", "_told")

    def __init__(
        self,
        rules: Sequence[CompiledRule],
        told: Sequence[_Told],
        always: frozenset[int],
        margin: int,
        *,
        of_values: bool,
    ) -> None:
        """`always`: the numbers of the rules that no expression speaks for.

        `margin`: bytes on either side of where a match begins, within which its rule is seen.
        `of_values`: texts are single values, to which the rules' limits on values apply.
        """
        self._rules = rules
        self._told = told
        self._always = always
        self._margin = margin
        self._of_values = of_values

    def narrowed(self, rules: Iterable[CompiledRule]) -> "Prefilter":
        """The prefilter of some of its rules; it shares the database."""
        kept = set(rules)
        numbers = {number for number, rule in enumerate(self._rules) if rule in kept}
        told = [
            (one, [members & numbers for members in numbers_of])
            for one, numbers_of in self._told
            if not numbers.isdisjoint(chain.from_iterable(numbers_of))
        ]
        always = self._always & numbers
        return Prefilter(self._rules, told, always, self._margin, of_values=self._of_values)

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

    def candidates(self, text: bytes, start: int = 0, stop: int | None = None) -> Sequence[CompiledRule]:
        """The rules that can have a match that begins in `start` <= byte < `stop`, in their order."""
        last = len(text) if stop is None else stop + self._margin
        numbers = self._numbers(searchable(text[max(0, start - self._margin) : last]))
        if not numbers:
            return ()
        rules: Iterable[CompiledRule] = map(self._rules.__getitem__, sorted(numbers))
        if len(text) < _SHORT:
            rules = self._with_keywords(sorted(numbers), text)
        return [rule for rule in rules if rule.takes(text)] if self._of_values else list(rules)

    def _numbers(self, text: bytes) -> frozenset[int]:
        """Of the rules that one pass says may match, and of those that it can say nothing of."""
        numbers = self._always
        for one, numbers_of in self._told:
            occurring = one.occurring(text)
            if occurring:
                numbers = numbers.union(*map(numbers_of.__getitem__, occurring))
        return numbers

    def _with_keywords(self, numbers: Iterable[int], text: bytes) -> Iterator[CompiledRule]:
        """Those whose keywords the text has, of rules that have some."""
        lowered = text.lower()
        for number in numbers:
            rule = self._rules[number]
            if not rule.keywords or holds_one(rule.keywords, lowered):
                yield rule


class _Sought(NamedTuple):
    """What is looked for on a rule's account: nothing when it always has to run."""

    expressions: tuple[Expression, ...]
    #: Bytes on either side of where a match begins, within which it stands.
    margin: int
    is_shaped: bool = False


def make_prefilter(rules: Sequence[CompiledRule], databases: Databases | None, target: str) -> Prefilter:
    """The prefilter of these rules on a target; without `databases` one that leaves nothing out."""
    of_values, most = target in VALUE_TARGETS, _MAX_LENGTH if target == "body" else None
    every = frozenset(range(len(rules)))
    if databases is None:
        return Prefilter(rules, (), every, 0, of_values=of_values)
    sought = [_sought(rule, most, lambda _: True) for rule in rules]
    try:
        told = _tell(sought, databases)
    except hyperscan.error:
        # One of them is too much for it, and it does not say which.
        sought = [_sought(rule, most, databases.takes) for rule in rules]
        told = _tell(sought, databases)
    always = every.difference(*(members for _, numbers_of in told for members in numbers_of))
    margin = max((each.margin for each in sought), default=0)
    return Prefilter(rules, told, always, margin, of_values=of_values)


def _tell(sought: Sequence[_Sought], databases: Databases) -> list[_Told]:
    """The passes that look for it all."""
    shaped: dict[Expression, set[int]] = {}
    others: dict[Expression, set[int]] = {}
    for number, each in enumerate(sought):
        for expression in each.expressions:
            (shaped if each.is_shaped else others).setdefault(expression, set()).add(number)
    if len(shaped) < _MIN_SHAPED:
        others |= shaped
        shaped = {}
    told: list[_Told] = []
    if others:
        told.append((databases.one_pass(list(others)), [*map(frozenset, others.values())]))
    if shaped:
        passes = databases.one_pass(SHAPES), databases.one_pass(list(shaped))
        told.append((ShapedPass(*passes), [*map(frozenset, shaped.values())]))
    return told


def _sought(rule: CompiledRule, most: int | None, takes: Callable[[Expression], bool]) -> _Sought:
    """What to look for on the rule's account; `takes`: whether something can be an expression of a pass."""
    if rule.pattern is not None and not rule.unicode and not rule.is_known_by_words:
        expression = one_pass.as_expression(rule.pattern.pattern, rule.rule.ignore_case, most)
        if expression is not None and takes(expression):
            margin = min(rule.max_length, _MAX_LENGTH)
            return _Sought((expression,), margin, _is_shaped(rule, rule.pattern.pattern))
    words = rule.keywords
    if rule.near is not None and not rule.rule.keywords:
        return _Sought(tuple(chain.from_iterable(map(one_pass.near_word, words))), rule.max_length)
    if any(len(keyword) < _MIN_WORD for keyword in words):
        words = ()
    return _Sought(tuple(map(one_pass.word, words)), rule.max_length)


def _is_shaped(rule: CompiledRule, pattern: bytes) -> bool:
    is_near = rule.is_bounded and rule.max_length <= MAX_REACH
    return is_near and not rule.rule.ignore_case and has_shape(pattern)
