"""Whether anything of a secret is left in a message, in whatever spelling."""

import html
import re
from collections.abc import Callable, Iterator
from urllib.parse import unquote_to_bytes

#: Shorter pieces of a secret occur by chance.
_MIN_PIECE = 6
#: Decodings one after another: JSON in JSON in a form is as deep as the sets go.
_MAX_DEPTH = 3

_JSON_ESCAPE = re.compile(rb'\\(?:u([0-9A-Fa-f]{4})|([\\"/bfnrt]))')
_SHORT_ESCAPES = dict(zip(b"bfnrt", (b"\b", b"\f", b"\n", b"\r", b"\t"), strict=True))


def is_clean(secret: bytes, *texts: bytes) -> bool:
    """Whether no half of any line of the secret is left in one of the texts, as it stands or decoded."""
    readings = {reading for text in texts for reading in _readings(text, _MAX_DEPTH)}
    return not any(half in reading for half in halves(secret) for reading in readings)


def halves(secret: bytes) -> Iterator[bytes]:
    """Every contiguous piece of half the length of a line of the secret."""
    for line in secret.split():
        length = max(_MIN_PIECE, -(-len(line) // 2))
        for start in range(len(line) - length + 1):
            yield line[start : start + length]


def _readings(text: bytes, depth: int) -> Iterator[bytes]:
    yield text
    for decode in _DECODINGS if depth else ():
        decoded = decode(text)
        if decoded != text:
            yield from _readings(decoded, depth - 1)


def _json(text: bytes) -> bytes:
    def meaning(escape: re.Match[bytes]) -> bytes:
        if escape[1]:
            return chr(int(escape[1], 16)).encode("utf-8", "surrogatepass")
        return _SHORT_ESCAPES.get(escape[2][0], escape[2])

    return _JSON_ESCAPE.sub(meaning, text) if b"\\" in text else text


def _html(text: bytes) -> bytes:
    return html.unescape(text.decode("latin-1")).encode("utf-8") if b"&" in text else text


def _form(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b"+", b" ")) if b"%" in text or b"+" in text else text


_DECODINGS: tuple[Callable[[bytes], bytes], ...] = (_json, _html, _form)
