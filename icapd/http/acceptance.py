"""Proactive negotiation of a media type (RFC 9110 section 12.5.1)."""

import re
from collections.abc import Sequence

# The two halves of the type share no character, or a row of slashes would be tried in every cut.
_RANGE = re.compile(r"\s*([^\s;,/]+/[^\s;,/]+)\s*((?:;[^,]*)?)")
_QUALITY = re.compile(r";\s*q\s*=\s*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)", re.IGNORECASE)
# More ranges than any client lists; the rest of a longer value is not looked at.
_MAX_RANGES = 32


def preferred_type(accept: bytes | None, offered: Sequence[str]) -> str:
    """The offered media type that the client names with the highest quality.

    Among equals the one it names first; the first offered one when it names none of them, for a wildcard
    asks for nothing in particular.
    """
    best, best_quality = offered[0], 0.0
    for part in (accept or b"").decode("latin-1").split(",")[:_MAX_RANGES]:
        match = _RANGE.fullmatch(part)
        if match is not None and match[1].lower() in offered:
            quality = _QUALITY.search(match[2])
            value = float(quality[1]) if quality else 1.0
            if value > best_quality:
                best, best_quality = match[1].lower(), value
    return best
