"""What the rules found, in a form that may be kept: masked, fingerprinted, without the secret."""

import hmac
import secrets
from dataclasses import dataclass, field
from typing import NamedTuple

from icapd.policy import Action, CompiledRule, Severity

# What the id of a key is made of with the key itself: nothing about the key can be told from it.
_ID_LABEL = b"icapd fingerprint key id"
_KEY_ID_SIZE = 4
# Half of SHA-256: no two secrets of a site share it, and it tells nothing without the key.
_FINGERPRINT_SIZE = 16
# Hexadecimal digits.
_TAG_LENGTH = 8
# Below this many bytes, any character shown is too large a part of the secret.
_MIN_SHOWN_LENGTH = 12
# Shown at each end at most: enough for a vendor's prefix such as `ghp_`.
_MAX_SHOWN_END = 4
_MASK = "***"
# Bytes of a file name that are kept.
_MAX_FILE_NAME = 128


@dataclass(frozen=True, slots=True)
class Finding:
    """One match of one rule. Holds nothing that the secret could be made of again."""

    rule_id: str
    severity: Severity
    #: What the policy wants, whether or not it is enforced.
    action: Action
    #: False in monitor mode: recorded, nothing changed.
    enforced: bool
    #: What the rule looked at: body, field, url, header:NAME ...
    target: str
    #: Bytes of the target (for a field: of the body, URL or header it is part of), decoded but not adapted.
    start: int
    end: int
    excerpt: str
    #: Equal for equal secrets under one key; "" where nothing but presence was found.
    fingerprint: str
    score: int
    #: The name of the file that the part of a multipart body is, unless something was found in that too.
    file_name: str = ""


class Place(NamedTuple):
    rule_id: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Hit:
    """A match on its way to a finding, with the secret itself. Does not leave this package."""

    rule: CompiledRule
    action: Action
    target: str
    start: int
    end: int
    #: With all its escapes decoded, so that it is the same however it was found.
    secret: bytes = field(repr=False)
    file_name: bytes = field(default=b"", repr=False)

    @property
    def place(self) -> Place:
        """What tells hits apart: a rule may find the same in several readings of a text."""
        return Place(self.rule.id, self.start, self.end)

    @property
    def redacts(self) -> bool:
        return self.rule.enforced and self.action is Action.REDACT

    @property
    def blocks(self) -> bool:
        return self.rule.enforced and self.action is Action.BLOCK


class Fingerprinter:
    """Makes secrets comparable without keeping them: HMAC-SHA-256 under a key of the site.

    A fingerprint is `KEYID-DIGEST`, so that only those of one key are taken for comparable.
    """

    __slots__ = ("_key", "key_id")

    def __init__(self, key: bytes) -> None:
        self._key = key
        #: Eight hexadecimal digits.
        self.key_id = hmac.digest(key, _ID_LABEL, "sha256")[:_KEY_ID_SIZE].hex()

    @classmethod
    def ephemeral(cls) -> "Fingerprinter":
        """With a key of its own: comparable among this object's fingerprints only."""
        return cls(secrets.token_bytes(32))

    def fingerprint(self, secret: bytes) -> str:
        return f"{self.key_id}-{self._digest(secret)}"

    def tag(self, secret: bytes) -> str:
        """The beginning of the digest: enough to tell the secrets of one document apart."""
        return self._digest(secret)[:_TAG_LENGTH]

    def _digest(self, secret: bytes) -> str:
        return hmac.digest(self._key, secret, "sha256")[:_FINGERPRINT_SIZE].hex()

    def __repr__(self) -> str:
        return "<Fingerprinter>"


class FindingLog:
    """The findings of one message, as many as are kept of it.

    The first finding of each rule is always kept, so that no verdict and no score is lost; of repeated ones
    as many as the limit leaves room for.
    """

    def __init__(self, fingerprinter: Fingerprinter, limit: int) -> None:
        self.findings: list[Finding] = []
        self.truncated = False
        self.fingerprinter = fingerprinter
        self._limit = limit
        self._rules: set[str] = set()

    def add(self, hit: Hit) -> None:
        rule = hit.rule
        if rule.id in self._rules and len(self.findings) >= self._limit:
            self.truncated = True
            return
        self._rules.add(rule.id)
        self.findings.append(
            Finding(
                rule_id=rule.id,
                severity=rule.severity,
                action=hit.action,
                enforced=rule.enforced,
                target=hit.target,
                start=hit.start,
                end=hit.end,
                excerpt=mask(hit.secret),
                fingerprint=self.fingerprinter.fingerprint(hit.secret) if hit.secret else "",
                score=rule.score,
                file_name=_printable(hit.file_name[:_MAX_FILE_NAME]),
            )
        )


def mask(secret: bytes) -> str:
    """The secret, to be recognised by: a quarter of it at most, nothing of a short one, printable ASCII."""
    if not secret:
        return ""
    shown = len(secret) // 4 if len(secret) >= _MIN_SHOWN_LENGTH else 0
    head = min(shown, _MAX_SHOWN_END)
    tail = min(shown - head, _MAX_SHOWN_END)
    return _printable(secret[:head]) + _MASK + _printable(secret[len(secret) - tail :])


_PRINTABLE = bytes(byte if 0x20 <= byte < 0x7F else ord(".") for byte in range(256))


def _printable(part: bytes) -> str:
    return part.translate(_PRINTABLE).decode("ascii")
