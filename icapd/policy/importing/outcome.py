"""What comes of an import: rules, what could not be carried over, and what had to be chosen."""

from dataclasses import dataclass

import msgspec

from icapd.policy.rule import Rule


class LeftOut(msgspec.Struct, frozen=True):
    """One thing of the source that the pack does not have."""

    #: The rule as the source calls it; "" for the file as a whole.
    rule: str
    key: str
    why: str
    #: Whether the rule itself is missing, and not only the key.
    whole_rule: bool = False


class Chosen(msgspec.Struct, frozen=True):
    """A value that the source does not have, and that the import chose."""

    #: The rule's id in the pack.
    rule: str
    key: str
    value: str


@dataclass(frozen=True, slots=True)
class Imported:
    """A pack, as far as it could be made; each rule with an example that it finds."""

    description: str
    rules: tuple[Rule, ...]
    left_out: tuple[LeftOut, ...]
    chosen: tuple[Chosen, ...]
