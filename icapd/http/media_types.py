"""Media types (RFC 9110 section 8.3.1): what a body claims to be, and how it is to be read."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

Format = Literal["json", "form", "event-stream", "multipart", "text"]

_ESSENCE = re.compile(r"[!#$%&'*+\-.^_`|~0-9a-z]+/[!#$%&'*+\-.^_`|~0-9a-z]+")
_CHARSET = re.compile(r';\s*charset\s*=\s*"?([^\s";]+)')
# RFC 2046 section 5.1.1: 70 characters at most, blanks among them where it is quoted.
_BOUNDARY = re.compile(r';\s*boundary\s*=\s*(?:"([^"\r\n]{1,70})"|([^\s";,]{1,70}))', re.IGNORECASE)

# Registered and customary types outside text/* whose bytes are text.
_TEXTUAL = frozenset(
    """application/json application/ld+json application/x-ndjson application/ndjson application/jsonlines
    application/json-seq application/x-www-form-urlencoded application/xml application/xhtml+xml
    application/javascript application/x-javascript application/ecmascript application/graphql
    application/graphql-response application/yaml application/x-yaml application/toml application/sql
    application/x-sh application/x-httpd-php application/rtf application/pem-certificate-chain
    application/x-pem-file application/jwt application/jose application/mbox message/rfc822 message/http
    multipart/form-data multipart/mixed multipart/related multipart/alternative image/svg+xml""".split()
)
_TEXTUAL_SUFFIXES = ("+json", "+xml", "+yaml", "+json-seq", "+jwt")
_JSON = frozenset(
    "application/json application/x-ndjson application/ndjson application/jsonlines text/json".split()
)
# Types that say nothing about the bytes: a look at the bytes decides.
_OPAQUE = frozenset({"", "application/octet-stream", "binary/octet-stream", "application/x-binary"})


@dataclass(frozen=True, slots=True)
class MediaType:
    """A Content-Type value taken apart: `essence` is lower-case `type/subtype`, "" when absent or no type."""

    essence: str = ""
    charset: str | None = None
    #: Of a multipart type; "" when it names none.
    boundary: str = ""

    @classmethod
    def parse(cls, value: bytes | None) -> "MediaType":
        # Nothing that matters stands far behind; what is remembered stays small.
        return _parse(value[:_MAX_VALUE]) if value is not None else cls()

    @property
    def is_event_stream(self) -> bool:
        return self.essence == "text/event-stream"

    @property
    def is_opaque(self) -> bool:
        """Whether the type tells nothing, so that the bytes themselves must be looked at."""
        return self.essence in _OPAQUE

    @property
    def format(self) -> Format:
        """The reader that the body's inspection uses."""
        if self.essence in _JSON or self.essence.endswith("+json"):
            return "json"
        if self.essence == "application/x-www-form-urlencoded":
            return "form"
        if self.is_event_stream:
            return "event-stream"
        if self.essence.startswith("multipart/"):
            return "multipart"
        return "text"


#: Bytes of a Content-Type value that are looked at; a multipart boundary has 70 at most.
_MAX_VALUE = 256


@lru_cache(maxsize=1024)
def _parse(value: bytes) -> MediaType:
    given = value.decode("latin-1")
    text = given.lower()
    essence = text.partition(";")[0].strip()
    charset = _CHARSET.search(text)
    # The only parameter here in which case counts.
    boundary = _BOUNDARY.search(given) if essence.startswith("multipart/") else None
    return MediaType(
        essence if _ESSENCE.fullmatch(essence) else "",
        charset[1] if charset else None,
        (boundary[1] or boundary[2]) if boundary else "",
    )


def is_textual(essence: str) -> bool:
    """Whether bodies of this type are text that rules can read; "" (no type given) counts as text."""
    return (
        not essence
        or essence.startswith("text/")
        or essence in _TEXTUAL
        or essence.endswith(_TEXTUAL_SUFFIXES)
    )


def looks_like_text(sample: bytes) -> bool:
    """Whether the beginning of a body is text: no NUL, few control bytes, UTF-8 up to a cut at the end."""
    if b"\x00" in sample:
        return False
    if len(_CONTROLS.findall(sample)) > len(sample) // 50:
        return False
    try:
        sample.decode("utf-8")
    except UnicodeDecodeError as error:
        # A character cut off by the end of the sample is no fault of the text.
        return len(sample) - error.start < 4 and error.reason == "unexpected end of data"
    return True


_CONTROLS = re.compile(rb"[\x01-\x08\x0e-\x1a\x1c-\x1f]")
