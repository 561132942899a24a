"""A rule without an example is given one, and what else a pack needs; or it is said why it can't be."""

from collections.abc import Iterator
from itertools import product

import msgspec

from icapd.errors import ScanTimeout
from icapd.policy.checks import check_reach, check_rule
from icapd.policy.faults import RuleFault
from icapd.policy.importing.outcome import Chosen
from icapd.policy.matching import UNBOUNDED_REACH, CompiledRule, compile_rule, reach
from icapd.policy.parsed import parse_loosely
from icapd.policy.proofs import prove
from icapd.policy.redos import screen
from icapd.policy.rule import Rule
from icapd.policy.ruleset import RuleSet
from icapd.policy.sampling import Sampler

#: Texts that are drawn before a rule is given up; a rule that asks for entropy refuses some.
_MAX_DRAWN = 60


def finish(rule: Rule, pack: str) -> tuple[Rule, list[Chosen]]:
    """The rule with a bound and an example, checked, proved and screened, and what was chosen for it.

    RuleFault names the key for which it can't be a rule of the pack.
    """
    chosen = []
    if rule.max_length is None and reach(rule) is None:
        rule = _bounded(rule)
        chosen.append(Chosen(rule.id, "max_length", f"{UNBOUNDED_REACH}: the pattern sets no bound"))
    if not rule.match:
        example = _example(rule)
        if example is None and rule.keywords and rule.max_length is None:
            # The keyword is none of the match's own text: leave it room around.
            rule = _bounded(rule)
            example = _example(rule)
            chosen.append(Chosen(rule.id, "max_length", f"{UNBOUNDED_REACH}: a keyword stands further off"))
        if example is None:
            raise RuleFault("regex", "no text could be made that it finds, keywords and entropy included")
        rule = msgspec.structs.replace(rule, match=(example,))
    check_rule(rule, pack)
    compiled = compile_rule(rule)
    check_reach(rule)
    for failure in prove(compiled).failures:
        raise RuleFault(failure.key, failure.problem)
    screening = screen(compiled, short=True)
    if screening is not None and screening.verdict == "explosive":
        key = "regex" if screening.key == "pattern" else screening.key
        raise RuleFault(key, f"blows up where a pattern is matched by trying: {screening}")
    return rule, chosen


def _bounded(rule: Rule) -> Rule:
    return msgspec.structs.replace(rule, max_length=UNBOUNDED_REACH)


def _example(rule: Rule) -> str | None:
    """A text in which the rule finds something, drawn from its own pattern."""
    compiled = compile_rule(rule)
    rules = RuleSet([compiled])
    for text in _drawn(compiled):
        try:
            if any(_is_whole(compiled, text.encode(), start, end) for start, end in _found(rules, text)):
                return text
        except ScanTimeout:
            return None
    return None


def _found(rules: RuleSet, text: str) -> list[tuple[int, int]]:
    (rule,) = rules.rules
    return [(match.full_start, match.full_end) for match in rules.scan(rule.rule.targets[0], text.encode())]


def _is_whole(rule: CompiledRule, text: bytes, start: int, end: int) -> bool:
    """Whether a stream would find it too: within the bound, a keyword included."""
    return end - start <= rule.max_length and rule.has_keyword(
        text[max(0, end - rule.max_length) : start + rule.max_length]
    )


def _drawn(rule: CompiledRule) -> Iterator[str]:
    tree = parse_loosely(rule.rule.pattern or "")
    if tree is None:
        return
    sampler = Sampler(rule.id)
    before = ["", *(f"{keyword} " for keyword in rule.rule.keywords[:1])]
    for _ in range(_MAX_DRAWN):
        drawn = sampler.text(tree)
        if not rule.unicode:
            try:
                drawn = drawn.encode("latin-1").decode("utf-8")
            except UnicodeError:
                continue
        for lead, (left, right) in product(before, (("", ""), (" ", " "), ("\n", "\n"))):
            yield f"{lead}{left}{drawn}{right}"
