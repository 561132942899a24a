"""Rules of a gitleaks configuration as rules of a pack."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from icapd.policy.faults import RuleFault
from icapd.policy.importing.finishing import finish
from icapd.policy.importing.gitleaks import Allowlist, Placed, SourceRule, read_configuration
from icapd.policy.importing.outcome import Chosen, Imported, LeftOut
from icapd.policy.importing.re2 import Translation, UnsupportedSyntax, translate
from icapd.policy.importing.re2_sets import escaped
from icapd.policy.rule import Rule
from icapd.policy.tags import misspelled

#: gitleaks knows no actions and no severities; whoever imports its rules wants secrets gone.
_ACTION: Final = "redact"
_SEVERITY: Final = "high"
_SCORE = 30
_NOT_IN_AN_ID = re.compile(r"[^a-z0-9]+")


class _Unfit(Exception):
    """A rule that can't be carried over: its key, and why."""

    def __init__(self, key: str, why: str) -> None:
        super().__init__(f"{key}: {why}")
        self.key, self.why = key, why


def import_gitleaks(path: Path, pack: str) -> Imported:
    """The configuration's rules; PolicyError when it can't be read."""
    configuration = read_configuration(path)
    left_out, chosen, rules = list(configuration.left_out), list[Chosen](), list[Rule]()
    ids: set[str] = set()
    for allowlist in configuration.allowlists:
        left_out += [
            LeftOut("", f"global allowlist, {part}", why) for part, why in _not_told(allowlist).items()
        ]
    for placed in configuration.rules.values():
        everywhere = [
            allowlist
            for allowlist in configuration.allowlists
            if not allowlist.target_rules or placed.rule.id in allowlist.target_rules
        ]
        try:
            rule = _rule(placed, everywhere, _free_id(pack, placed.rule.id, ids), left_out)
            finished, choices = finish(rule, pack)
        except _Unfit as unfit:
            left_out.append(LeftOut(placed.rule.id, unfit.key, unfit.why, whole_rule=True))
        except RuleFault as fault:
            left_out.append(LeftOut(placed.rule.id, fault.key, fault.problem, whole_rule=True))
        else:
            ids.add(finished.id)
            rules.append(finished)
            chosen += choices
    description = configuration.title or f"Rules of {path.name}"
    return Imported(description, tuple(rules), tuple(left_out), tuple(chosen))


def _free_id(pack: str, name: str, taken: set[str]) -> str:
    slug = _NOT_IN_AN_ID.sub("-", name.lower()).strip("-") or "rule"
    number, free = 1, f"{pack}.{slug}"
    while free in taken:
        number += 1
        free = f"{pack}.{slug}-{number}"
    return free


def _rule(placed: Placed, everywhere: Iterable[Allowlist], rule_id: str, left_out: list[LeftOut]) -> Rule:
    source = placed.rule
    _check_fit(source)
    try:
        translation = translate(source.regex, secret_group=source.secret_group)
    except UnsupportedSyntax as error:
        raise _Unfit("regex", str(error)) from None
    allow: list[str] = []
    stop_words: list[str] = []
    for number, allowlist in enumerate((*placed.allowlists, *everywhere), 1):
        # Global ones stand behind the rule's own.
        own = number <= len(placed.allowlists)
        key = f"allowlists {number}" if own else "global allowlist"
        # What is wrong with a global one for any rule is told once.
        told = {} if own else _not_told(allowlist)
        patterns, words = _allowed(allowlist, translation, source.id, key, told, left_out)
        allow += patterns
        stop_words += words
    keywords = tuple(dict.fromkeys(keyword.lower() for keyword in source.keywords))
    if not all(keyword and keyword.isascii() for keyword in keywords):
        left_out.append(
            LeftOut(source.id, "keywords", "one is empty or not ASCII; the rule runs without any")
        )
        keywords = ()
    return Rule(
        id=rule_id,
        description=" ".join((source.description or source.id).split()),
        targets=("body", "url"),
        pattern=translation.pattern,
        ignore_case=translation.ignore_case,
        unicode=translation.unicode,
        keywords=keywords,
        validator=f"entropy>={source.entropy:g}" if source.entropy > 0 else (),
        allow=tuple(dict.fromkeys(allow)),
        stop_words=tuple(dict.fromkeys(stop_words)),
        action=_ACTION,
        severity=_SEVERITY,
        score=_SCORE,
        tags=_tags(source, left_out),
    )


def _tags(source: SourceRule, left_out: list[LeftOut]) -> tuple[str, ...]:
    """The tags, less those that look like a known family's and are not."""
    wrong = {tag: right for tag in source.tags if (right := misspelled(tag))}
    left_out += [LeftOut(source.id, "tags", f'"{tag}": write {right}') for tag, right in wrong.items()]
    return tuple(tag for tag in source.tags if tag not in wrong)


def _check_fit(source: SourceRule) -> None:
    if not source.regex:
        raise _Unfit(
            "path" if source.path else "regex", "without a regex there is nothing to look for in a text"
        )
    if source.path:
        raise _Unfit("path", "is for files of certain names only; on all messages it would find too much")
    if source.required:
        raise _Unfit("required", "counts only near findings of other rules; alone it would find too much")
    if source.skip_report:
        raise _Unfit("skipReport", "only serves other rules")


def _allowed(
    allowlist: Allowlist,
    rule: Translation,
    name: str,
    key: str,
    told: Mapping[str, str],
    left_out: list[LeftOut],
) -> tuple[list[str], list[str]]:
    """What to put into `allow` and `stop_words`; what can't be carried over, and is not yet told, is told."""
    lost = {**_not_told(allowlist), **_misdirected(allowlist, rule)}
    if allowlist.needs_all and lost:
        why = f"all of its conditions must hold, and not all can be carried over: {'; '.join(lost.values())}"
        left_out.append(LeftOut(name, key, why))
        return [], []
    left_out += [LeftOut(name, f"{key}, {part}", why) for part, why in lost.items() if part not in told]
    patterns: list[str] = []
    for regex in () if "regexes" in lost else allowlist.regexes:
        try:
            patterns.append(_allow_pattern(regex, rule))
        except UnsupportedSyntax as error:
            left_out.append(LeftOut(name, f"{key}, regexes", f"{regex!r}: {error}"))
    words = [word.lower() for word in allowlist.stopwords if word]
    if allowlist.needs_all and patterns and words:
        either = "|".join(_literal(word, rule) for word in words)
        return [rf"\A(?=[\s\S]*?(?:{'|'.join(patterns)}))(?=[\s\S]*?(?i:{either}))"], []
    return patterns, words


def _literal(word: str, rule: Translation) -> str:
    return "".join(escaped(ord(letter), unicode=rule.unicode) for letter in word)


def _not_told(allowlist: Allowlist) -> dict[str, str]:
    """The conditions of an allow list that no rule on messages can have."""
    lost = {}
    if allowlist.commits:
        lost["commits"] = "a message belongs to no commit"
    if allowlist.paths:
        lost["paths"] = "a message has no path in a repository"
    return lost


def _misdirected(allowlist: Allowlist, rule: Translation) -> dict[str, str]:
    """Patterns of an allow list that look at more than the secret."""
    target = allowlist.regex_target.lower()
    if allowlist.regexes and (target == "line" or (target == "match" and "(?P<secret>" in rule.pattern)):
        return {"regexes": f"regexTarget {target}: icapd looks at the secret alone"}
    return {}


def _allow_pattern(regex: str, rule: Translation) -> str:
    """An allow pattern in the mode of its rule, which is over bytes or characters, in one case or either."""
    allowed = translate(regex, secret_group=None, unicode=rule.unicode)
    if allowed.unicode and not rule.unicode:
        raise UnsupportedSyntax("speaks of characters outside ASCII, and its rule does not")
    if allowed.ignore_case == rule.ignore_case:
        return allowed.pattern
    return f"(?{'i' if allowed.ignore_case else '-i'}:{allowed.pattern})"
