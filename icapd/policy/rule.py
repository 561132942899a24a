"""A rule as its file spells it: the keys of one [[rule]] table, their types and their defaults."""

import enum
from typing import Literal, get_args

import msgspec

Verdict = Literal["allowed", "logged", "redacted", "blocked"]
Direction = Literal["request", "response", "both"]
Severity = Literal["info", "low", "medium", "high", "critical"]
Mode = Literal["enforce", "monitor"]
ActionName = Literal["allow", "log", "redact", "block"]
MaskName = Literal["redacted", "label", "keep-last-4", "same-length"]

_VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
#: Severities from the least to the gravest.
SEVERITIES: tuple[Severity, ...] = get_args(Severity)

#: What a rule can look at, apart from single headers: `header:NAME`, or `header-exact:NAME` where the case
#: of the name counts too.
PLAIN_TARGETS = (
    "body",
    "field",
    "url",
    "header",
    "head-part",
    "method",
    "content-type",
    "size",
    "name",
    "magic",
)
#: Targets that are single values, to which a rule's limits on values apply.
VALUE_TARGETS = frozenset({"field", "head-part"})
#: Targets whose bytes icapd never rewrites: a rule on them may block or log.
FIXED_TARGETS = frozenset({"method", "content-type", "size", "name", "magic"})


#: Bytes of a body that rules on `magic` see: what tells a type stands in the first few hundred.
MAGIC_SIZE = 1024


class Action(enum.IntEnum):
    """What a rule wants done with a message that it matches; the gravest of all findings wins."""

    ALLOW = 0  #: The finding is recorded and counts in the risk score, nothing more.
    LOG = 1
    REDACT = 2
    BLOCK = 3

    @classmethod
    def parse(cls, name: ActionName) -> "Action":
        return cls[name.upper()]

    @property
    def verdict(self) -> Verdict:
        """The word that audit rows and the X-Icapd-Verdict header use."""
        return _VERDICTS[self]


class MatchExample(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An example for another target than the rule's first, or of bytes that are no text."""

    text: str = ""
    #: In the place of `text`: the bytes as hexadecimal digits, with blanks wherever they help to read.
    hex: str = ""
    #: A target of the rule; by default its first.
    target: str = ""


class RedactExample(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A text, and the same text as the rule leaves it."""

    input: str
    output: str


class Near(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What must stand close to a match, in front of it or behind it, for the match to count."""

    #: Lower-case, found in any case (of ASCII), as whole words or as parts of names such as `cardNumber`; a
    #: blank stands for one separator or none.
    words: tuple[str, ...] = ()
    #: Besides the words: a pattern over bytes.
    pattern: str | None = None
    #: Bytes in front of the match that are looked at.
    before: int = 0
    #: Bytes behind the match that are looked at.
    after: int = 0


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One [[rule]] table. Checked across its keys by `icapd.policy.checks`."""

    #: `pack.name`; the pack is the stem of the file's name.
    id: str
    #: One line for people.
    description: str
    #: False for a rule that ships switched off: an override in policy.toml switches it on.
    enabled: bool = True
    #: Whose messages the rule is for.
    direction: Direction = "both"
    #: What the rule looks at.
    targets: tuple[str, ...]
    #: Syntax of the `regex` library, version 0. The group `secret`, when there is one, is what is redacted,
    #: shown masked and fingerprinted; else the whole match is.
    pattern: str | None = None
    #: Letters of either case match.
    ignore_case: bool = False
    #: Match characters instead of bytes: \w, \s and ignore_case then know all of Unicode.
    unicode: bool = False
    #: Lower-case ASCII. A match counts only with one of them, in any case, within `max_length` of it.
    keywords: tuple[str, ...] = ()
    #: Names from `icapd.policy.validators`, all of which must accept the secret.
    validator: str | tuple[str, ...] = ()
    #: Patterns for known harmless secrets: a match whose secret one of them finds is no finding.
    allow: tuple[str, ...] = ()
    #: Lower-case words: a secret that holds one of them, in any case, is no finding.
    stop_words: tuple[str, ...] = ()
    #: What must stand close to the match.
    near: Near | None = None
    #: Bytes. Field values longer than this are not looked at.
    max_value_length: int | None = None
    #: Field values with more line breaks than this are not looked at.
    max_value_lines: int | None = None
    #: What is done about a message with a finding; the gravest of all findings decides.
    action: ActionName
    #: What a redacted secret becomes: `[REDACTED]`, `[REDACTED:NAME:TAG]` with a tag that is the same for the
    #: same secret, `****1234`, or as many asterisks as it had characters.
    mask: MaskName = "redacted"
    #: What people read on the block page in the place of its general sentence.
    block_message: str = ""
    #: How grave a finding is, for those who read reports.
    severity: Severity
    #: What a finding adds to the message's risk score.
    score: int = 0
    #: Bytes that a match and what its pattern looks at around itself may span: how much of a stream is held
    #: back. What `near` looks at comes on top by itself.
    max_length: int | None = None
    #: For target `size`: the largest size without a finding, in bytes (in characters when `unicode`).
    max_size: int | None = None
    #: Globs on the media type's essence; empty means every textual type.
    media_types: tuple[str, ...] = ()
    #: Overrides the policy's mode for this rule.
    mode: Mode | None = None
    #: Words for reports. Those of known families (owasp-mcp01, pci-dss-3.4.1, gdpr-4, hipaa-164.514, cwe-89)
    #: are checked for their spelling.
    tags: tuple[str, ...] = ()
    #: Where the format or the attack is published.
    reference: str = ""
    #: Examples that must fire; a plain string is for the first target.
    match: tuple[str | MatchExample, ...] = ()
    #: Examples that must not fire.
    no_match: tuple[str | MatchExample, ...] = ()
    #: Texts, and what must become of them.
    redacts: tuple[RedactExample, ...] = ()

    @property
    def validators(self) -> tuple[str, ...]:
        return (self.validator,) if isinstance(self.validator, str) else self.validator

    def covers(self, direction: Literal["request", "response"]) -> bool:
        return self.direction in (direction, "both")
