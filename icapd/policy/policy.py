"""The policy: every rule that applies, by direction, and a digest that stands for them all."""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import msgspec

from icapd.policy.matching import CompiledRule
from icapd.policy.rule import Mode
from icapd.policy.ruleset import RuleSet

#: Goes up when the same rules come to give other verdicts: what Squid remembers is then void (RFC 3507 4.7).
ENGINE_VERSION = 2

#: Keys of a rule that tell about it without changing a verdict; its mode is part of `enforced`.
_DESCRIPTIVE = frozenset({"description", "tags", "reference", "match", "no_match", "redacts", "mode"})


@dataclass(frozen=True, slots=True, repr=False)
class Policy:
    """Everything that decides a verdict. Never changes; a reload makes another one."""

    #: Over all that changes a verdict and nothing else: the same on every machine with the same rules.
    digest: str
    mode: Mode
    packs: tuple[str, ...]
    #: Of both directions, in the order of the packs.
    rules: tuple[CompiledRule, ...]
    request: RuleSet
    response: RuleSet

    @property
    def istag(self) -> str:
        """The ISTag (RFC 3507 section 4.7): at most 32 characters."""
        return f"icapd-{self.digest[:20]}"

    def __repr__(self) -> str:
        return f"<Policy {self.istag} {self.mode} {' '.join(self.packs)}>"


def policy_digest(rules: Iterable[CompiledRule]) -> str:
    """SHA-256, in hex, over the engine's version and what each rule does, in their order."""
    content = [ENGINE_VERSION, *map(_verdict_fields, rules)]
    return sha256(msgspec.json.encode(content, order="sorted")).hexdigest()


def _verdict_fields(rule: CompiledRule) -> dict[str, Any]:
    """What a rule's verdicts depend on; lists of alternatives sorted, for their order changes nothing."""
    fields = {
        key: value for key, value in msgspec.structs.asdict(rule.rule).items() if key not in _DESCRIPTIVE
    }
    fields |= {"enforced": rule.enforced, "in_order": rule.in_order, "max_length": rule.max_length}
    fields["validator"] = rule.rule.validators
    return {key: sorted(value) if isinstance(value, tuple) else value for key, value in fields.items()}
