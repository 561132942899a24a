"""Makes the rules of the packs ready to run, each once, and the profiles of a policy from them."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from icapd.errors import PolicyError
from icapd.policy.bodies import PACK, Skipped, rule_of
from icapd.policy.checks import check_reach, check_rule
from icapd.policy.databases import Databases, default_cache_directory
from icapd.policy.decoding import faults_as_errors
from icapd.policy.matching import CompiledRule, compile_rule
from icapd.policy.pack import Pack
from icapd.policy.policy_tables import Override, Settings
from icapd.policy.profiles import Profile, RuleSets
from icapd.policy.proofs import prove
from icapd.policy.rule import Action, Mode, Rule


class _Source(NamedTuple):
    """A rule, and where it stands."""

    rule: Rule
    pack: str
    path: Path
    in_order: bool


class Workshop:
    """Rules compile once: what a scope wants otherwise changes what is done about a match, not the match."""

    def __init__(self, packs: Mapping[str, Pack], path: Path) -> None:
        """`path`: of policy.toml."""
        self._packs, self._path = packs, path
        self._compiled: dict[str, CompiledRule] = {}
        self._effective: dict[tuple[str, Rule, bool], CompiledRule] = {}
        self._proved: set[str] = set()
        self.sets = RuleSets(Databases(default_cache_directory()))

    def profile(self, settings: Settings, name: str = "") -> Profile:
        """The profile of these settings, its rules proved by their own examples. Raises PolicyError."""
        if settings.skip:
            settings = replace(settings, packs=(), bodies=())
        rules = tuple(self._rules(settings))
        profile = Profile(
            name=name,
            mode=settings.mode,
            packs=settings.packs,
            rules=rules,
            request=self.sets.of(rules, "request"),
            response=self.sets.of(rules, "response"),
            thresholds=settings.thresholds,
            uninspected=settings.uninspected,
            skipped=tuple(Skipped(body) for body in settings.bodies if body.action == "skip"),
            audit=settings.audit,
            skip=settings.skip,
        )
        self._prove(profile)
        return profile

    def _rules(self, settings: Settings) -> Iterator[CompiledRule]:
        for source in self._sources(settings):
            rule = settings.overrides.get(source.rule.id, Override()).apply(source.rule)
            if rule.enabled:
                yield self._ready(source, rule, settings.mode)

    def _sources(self, settings: Settings) -> Iterator[_Source]:
        for name in settings.packs:
            pack = self._packs[name]
            for rule in pack.rules:
                yield _Source(rule, name, pack.path, pack.header.redaction == "in-order")
        for body in settings.bodies:
            body_rule = rule_of(body)
            if body_rule is not None:
                yield _Source(body_rule, PACK, self._path, False)

    def _ready(self, source: _Source, rule: Rule, mode: Mode) -> CompiledRule:
        """The source's rule as settings want it: the same object for the same wishes."""
        enforced = (rule.mode or mode) == "enforce"
        if rule.id not in self._compiled:
            with faults_as_errors(source.path, rule.id):
                self._compiled[rule.id] = compile_rule(source.rule, mode=mode, in_order=source.in_order)
                check_reach(source.rule)
        key = rule.id, rule, enforced
        if key not in self._effective:
            with faults_as_errors(self._path, rule.id):
                check_rule(rule, source.pack)
            self._effective[key] = replace(
                self._compiled[rule.id],
                rule=rule,
                action=Action.parse(rule.action),
                severity=rule.severity,
                score=rule.score,
                enforced=enforced,
            )
        return self._effective[key]

    def _prove(self, profile: Profile) -> None:
        paths = {name: pack.path for name, pack in self._packs.items()}
        for rule in profile.rules:
            if rule.id in self._proved:
                continue
            self._proved.add(rule.id)
            among = profile.rules_for("request" if rule.rule.covers("request") else "response")
            for failure in prove(rule, among).failures:
                path = paths.get(rule.id.partition(".")[0], self._path)
                raise PolicyError(failure.problem, file=path, rule=rule.id, key=failure.key)
