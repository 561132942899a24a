"""Where known secrets stand in a text, however many they are."""

import html
import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from urllib.parse import quote_from_bytes

from icapd.inspection.budget import Budget

#: Bytes. A secret of this length is taken out wherever else it stands; a shorter one may be a word there.
MIN_REPEATED_SECRET = 12

# Up to so many secrets are looked for one after the other; beyond, all at once takes less time.
_FEW = 32


def spellings_of(secret: bytes) -> set[bytes]:
    """The secret, and how it is written in formats other than the one that it was found in."""
    text = secret.decode("utf-8", "surrogateescape")
    percent = quote_from_bytes(secret, safe="")
    escaped = html.escape(text)
    written = {
        percent,
        percent.replace("%20", "+"),
        escaped,
        escaped.replace("&#x27;", "&#39;"),
        json.dumps(text)[1:-1],
        json.dumps(text, ensure_ascii=False)[1:-1],
    }
    in_base64 = {b64encode(secret).rstrip(b"="), urlsafe_b64encode(secret).rstrip(b"=")}
    return {secret} | {each.encode("utf-8", "surrogateescape") for each in written} | in_base64


def occurrences(secrets: Mapping[bytes, str], text: bytes, budget: Budget) -> Iterator[tuple[int, int]]:
    """The spans of the text at which one of the secrets, each with the id of its rule, stands.

    Secrets have at least MIN_REPEATED_SECRET bytes. Raises ScanTimeout.
    """
    search = _one_by_one if len(secrets) <= _FEW else _all_at_once
    return search(secrets, text, budget)


def _one_by_one(secrets: Mapping[bytes, str], text: bytes, budget: Budget) -> Iterator[tuple[int, int]]:
    for secret, rule_id in secrets.items():
        budget.check(rule_id)
        start = text.find(secret)
        while start >= 0:
            end = start + len(secret)
            yield start, end
            start = text.find(secret, end)


def _all_at_once(secrets: Mapping[bytes, str], text: bytes, budget: Budget) -> Iterator[tuple[int, int]]:
    """One pass over the text: what begins like a secret is looked up among those of each length."""
    lengths: dict[bytes, set[int]] = {}
    for secret in secrets:
        lengths.setdefault(secret[:MIN_REPEATED_SECRET], set()).add(len(secret))
    rule_id = next(iter(secrets.values()))
    # Behind the last occurrence of each; none overlaps the one before.
    resume = dict.fromkeys(secrets, 0)
    for start in range(len(text) - MIN_REPEATED_SECRET + 1):
        candidates = lengths.get(text[start : start + MIN_REPEATED_SECRET])
        if candidates is None:
            continue
        budget.check(rule_id)
        for length in candidates:
            secret = text[start : start + length]
            # At the end of the text there may be less of it, and that be another secret.
            if len(secret) == length and resume.get(secret, len(text)) <= start:
                resume[secret] = start + length
                yield start, start + length
