"""Patterns that blow up: how the time of a rule grows on the worst texts that can be thought of for it.

Measured with the rule's own pattern, in CPU time, and judged by ratios: of one text's growth, and to a
reference that is measured beside it. So a slow or a busy machine comes to the same verdict.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from time import thread_time
from typing import Literal

import regex

from icapd.policy.attack_texts import AttackText, attack_texts
from icapd.policy.matching import CompiledRule

#: From harmless to worst. `explosive` patterns take for ever on a line of text and are refused.
Verdict = Literal["linear", "heavy", "super-linear", "explosive"]

#: Characters. On so few of them a quadratic pattern takes a millisecond or two; a cubic one takes seconds.
SHORT = 512
#: Seconds of CPU on a short text that no pattern may take.
EXPLOSIVE_SECONDS = 0.05
#: Characters of the texts by which growth is told, each four times as long as the one before.
_SIZES = (SHORT, 2048, 8192, 32_768)
#: Between 4 times as long for four times the text, which is linear, and 16, which is quadratic.
_SUPER_LINEAR_GROWTH = 8
#: Seconds after which longer texts are not tried, and those after which a search is stopped.
_ENOUGH_SECONDS, _TOO_LONG_SECONDS = 0.15, 0.5
#: Characters that a time is told for, and the times of the reference that they may take: about 50 ms.
_WHOLE, _HEAVY_RATIO = 65_536, 80
#: Short texts whose times are looked at closer, at what size, and those that are followed to the longest.
_CLOSER, _CLOSER_SIZE, _FOLLOWED = 8, 2048, 2
#: What measures a suspicious time again; the least of all counts.
_REPEATS = 3


@dataclass(frozen=True, slots=True)
class Screening:
    """The worst that was measured of one rule."""

    rule_id: str
    verdict: Verdict
    #: CPU time that `size` characters of the worst text took; a floor where the verdict is explosive.
    seconds: float
    size: int
    #: How the worst text is made. It holds pieces of the pattern, and no example.
    text: str

    def __str__(self) -> str:
        floor = "more than " if self.verdict == "explosive" else ""
        return f"{self.verdict}, {floor}{self.seconds * 1000:.3g} ms for {self.size} characters: {self.text}"


def screen(rule: CompiledRule, *, short: bool = False) -> Screening | None:
    """The verdict on a rule; None for one without a pattern. `short`: only whether it is explosive."""
    if rule.pattern is None:
        return None
    limit = _longest_value(rule)
    texts = list(attack_texts(rule.rule))
    times = [_seconds(rule, text.of_size(min(SHORT, limit)), EXPLOSIVE_SECONDS) for text in texts]
    ranked = sorted(zip(times, texts, strict=True), key=lambda pair: -pair[0])
    if not ranked:
        return Screening(rule.id, "linear", 0.0, 0, "")
    seconds, worst = ranked[0]
    size = min(SHORT, limit)
    if seconds >= EXPLOSIVE_SECONDS <= _least(rule, worst.of_size(size), EXPLOSIVE_SECONDS):
        return Screening(rule.id, "explosive", EXPLOSIVE_SECONDS, size, worst.description)
    if short:
        return Screening(rule.id, "linear", seconds, size, worst.description)
    if limit <= SHORT:
        return _of_short_values(rule, worst, size)
    return _followed(rule, [text for _, text in ranked[:_CLOSER]], limit)


def _longest_value(rule: CompiledRule) -> int:
    """Characters of the longest text that the rule ever sees."""
    if set(rule.rule.targets) == {"field"} and rule.rule.max_value_length is not None:
        return max(1, rule.rule.max_value_length)
    return _SIZES[-1]


def _of_short_values(rule: CompiledRule, worst: AttackText, size: int) -> Screening:
    """A rule that sees short values only: 64 KB are many of them."""
    seconds = _least(rule, worst.of_size(size), EXPLOSIVE_SECONDS)
    whole = seconds * _WHOLE / size
    verdict: Verdict = "heavy" if whole > _HEAVY_RATIO * _reference() else "linear"
    return Screening(rule.id, verdict, seconds, size, worst.description)


def _followed(rule: CompiledRule, texts: Sequence[AttackText], limit: int) -> Screening:
    sizes = [size for size in _SIZES if size <= limit]
    closer = sorted(texts, key=lambda text: -_seconds(rule, text.of_size(_CLOSER_SIZE), _ENOUGH_SECONDS))
    found = [_growth(rule, text, sizes) for text in closer[:_FOLLOWED]]
    order: tuple[Verdict, ...] = ("linear", "heavy", "super-linear", "explosive")
    return max(found, key=lambda screening: (order.index(screening.verdict), screening.seconds))


def _growth(rule: CompiledRule, text: AttackText, sizes: Sequence[int]) -> Screening:
    """The verdict by one text at growing sizes, as far as its time allows."""
    measured: list[float] = []
    for size in sizes:
        measured.append(_least(rule, text.of_size(size), _TOO_LONG_SECONDS))
        if measured[-1] >= _ENOUGH_SECONDS:
            break
    size, seconds = sizes[len(measured) - 1], measured[-1]
    # A time that ran out tells no growth.
    timed = measured[:-1] if len(measured) > 2 and seconds >= _TOO_LONG_SECONDS else measured
    grows = len(timed) > 1 and timed[-1] > _SUPER_LINEAR_GROWTH * timed[-2]
    is_heavy = seconds * _WHOLE / size > _HEAVY_RATIO * _reference()
    verdict: Verdict = "linear" if not is_heavy else "super-linear" if grows else "heavy"
    return Screening(rule.id, verdict, seconds, size, text.description)


def _least(rule: CompiledRule, text: str, timeout: float) -> float:
    """The least of several times; one that is far too long once."""
    least = _seconds(rule, text, timeout)
    for _ in range(_REPEATS - 1 if least < _ENOUGH_SECONDS else 0):
        least = min(least, _seconds(rule, text, timeout))
    return least


def _seconds(rule: CompiledRule, text: str, timeout: float) -> float:
    """CPU seconds that all matches of the rule in the text take to find; the timeout when it runs out."""
    assert rule.pattern is not None
    subject = text if rule.unicode else text.encode("latin-1", "replace")
    start = thread_time()
    try:
        for _ in rule.pattern.finditer(subject, timeout=timeout):
            pass
    except TimeoutError:
        return timeout
    return thread_time() - start


@cache
def _reference() -> float:
    """CPU seconds of a plain search through 64 KB: what a second is worth on this machine."""
    # Sets only: there is no literal that `regex` could look for instead.
    pattern, text = regex.compile(rb"[b-j]\w{2,9}[0-9]"), b"the quick brown fox jumps " * (_WHOLE // 26)

    def once() -> float:
        start = thread_time()
        pattern.search(text)
        return thread_time() - start

    return min(once() for _ in range(5))
