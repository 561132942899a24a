"""Where known secrets stand in a text, however many they are."""

import html
import json
import string
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote_from_bytes

from icapd.inspection.budget import Budget

#: Bytes. A secret of this length is taken out wherever else it stands; a shorter one may be a word there.
MIN_REPEATED_SECRET = 12

# RFC 3986 section 2.3; JSON and HTML have no other way to write these either.
_WRITTEN_AS_IT_IS = (string.ascii_letters + string.digits + "-._~").encode()

# Up to so many secrets are looked for one after the other; beyond, all at once takes less time.
_FEW = 32
# Bytes by which secrets are alike, and places at which these are looked for.
_PREFIX, _MAX_STARTS = 4, 200


def spellings_of(secret: bytes) -> set[bytes]:
    """The secret, and how it is written in formats other than the one that it was found in."""
    in_base64 = {b64encode(secret).rstrip(b"="), urlsafe_b64encode(secret).rstrip(b"=")}
    if not secret.translate(None, _WRITTEN_AS_IT_IS):
        return {secret} | in_base64
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
    return {secret} | {each.encode("utf-8", "surrogateescape") for each in written} | in_base64


def occurrences(secrets: Mapping[bytes, str], text: bytes, budget: Budget) -> Iterator[tuple[int, int]]:
    """The spans of the text at which one of the secrets, each with the id of its rule, stands.

    Secrets have at least MIN_REPEATED_SECRET bytes. Raises ScanTimeout.
    """
    search = _one_by_one if len(secrets) <= _FEW else _all_at_once
    return search(secrets, text, budget)


def _one_by_one(secrets: Mapping[bytes, str], text: bytes, budget: Budget) -> Iterator[tuple[int, int]]:
    alike: dict[bytes, list[bytes]] = {}
    for secret in secrets:
        alike.setdefault(secret[:_PREFIX], []).append(secret)
    for prefix, members in alike.items():
        budget.check(secrets[members[0]])
        # Tokens of one kind begin alike.
        starts = _places_of(prefix, text) if len(members) > 1 else None
        for secret in members:
            yield from _each(secret, text) if starts is None else _each_at(starts, secret, text)


def _each(secret: bytes, text: bytes) -> Iterator[tuple[int, int]]:
    start = text.find(secret)
    while start >= 0:
        end = start + len(secret)
        yield start, end
        start = text.find(secret, end)


def _each_at(starts: Iterable[int], secret: bytes, text: bytes) -> Iterator[tuple[int, int]]:
    end = 0
    for start in starts:
        if start >= end and text.startswith(secret, start):
            end = start + len(secret)
            yield start, end


def _places_of(prefix: bytes, text: bytes) -> list[int] | None:
    """Where it stands; None where that is nearly everywhere."""
    starts: list[int] = []
    start = text.find(prefix)
    while start >= 0:
        starts.append(start)
        if len(starts) > _MAX_STARTS:
            return None
        start = text.find(prefix, start + 1)
    return starts


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
