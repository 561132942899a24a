"""HTTP header fields as a value: ordered, spelled as they came, never changed in place."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from icapd.errors import RemoteProtocolError, TooManyFields

# RFC 9110 section 5.6.2: token = 1*tchar.
TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
# What Squid takes for a name in an HTTP message, and hands on: no controls, no white space.
LOOSE_NAME = re.compile(rb"[^\x00-\x20:\x7f]+")
# RFC 9110 section 5.5: a field value holds no CR, LF or NUL.
_FORBIDDEN_IN_VALUE = re.compile(rb"[\r\n\x00]")
# RFC 9112 section 5.2: obs-fold; a recipient may replace it by spaces.
_OBS_FOLD = re.compile(rb"\r\n[ \t]+")

#: Fields of one head, unless the caller says otherwise.
MAX_FIELDS = 256


@dataclass(frozen=True, slots=True)
class Headers:
    """The field lines of one message, in their order, with their spelling and their duplicates."""

    items: tuple[tuple[bytes, bytes], ...] = ()

    @classmethod
    def parse(
        cls, lines: bytes, max_fields: int = MAX_FIELDS, name_pattern: re.Pattern[bytes] = TOKEN
    ) -> "Headers":
        """Field lines separated by CRLF, without the empty line that ends them.

        Raises RemoteProtocolError for a line without a colon, a name that does not match (white space before
        the colon included: RFC 9112 section 5.1), a NUL, or a bare CR or LF; TooManyFields for a line
        more than `max_fields`.
        """
        if not lines:
            return _EMPTY
        if lines.count(b"\r\n") >= max_fields:
            raise TooManyFields(f"a head has more than {max_fields} fields")
        if b"\r\n " in lines or b"\r\n\t" in lines:
            lines = _OBS_FOLD.sub(b" ", lines)
        items = []
        for line in lines.split(b"\r\n"):
            name, colon, value = line.partition(b":")
            # Either side may be a credential: only the length of the line is told.
            if not colon or not name_pattern.fullmatch(name):
                raise RemoteProtocolError(f"a header line of {len(line)} bytes has no `name:` at its start")
            if _FORBIDDEN_IN_VALUE.search(value):
                raise RemoteProtocolError(
                    f"a header line of {len(line)} bytes holds a NUL, or a bare CR or LF"
                )
            items.append((name, value.strip(b" \t")))
        return cls(tuple(items))

    def get(self, name: bytes) -> bytes | None:
        """The first value of that name (case-insensitive), or None."""
        name = name.lower()
        for key, value in self.items:
            if key.lower() == name:
                return value
        return None

    def get_all(self, name: bytes) -> tuple[bytes, ...]:
        """Every value of that name (case-insensitive), in order."""
        name = name.lower()
        return tuple(value for key, value in self.items if key.lower() == name)

    def get_list(self, name: bytes) -> tuple[bytes, ...]:
        """The members of a comma-separated list field, its repeated lines merged (RFC 9110 section 5.3)."""
        members = (part.strip(b" \t") for value in self.get_all(name) for part in value.split(b","))
        return tuple(member for member in members if member)

    def without(self, *names: bytes) -> "Headers":
        """The same fields less all those of the given names (case-insensitive)."""
        dropped = {name.lower() for name in names}
        return Headers(tuple(item for item in self.items if item[0].lower() not in dropped))

    def with_(self, name: bytes, value: bytes) -> "Headers":
        """The same fields with this one set: in the place of the first of its name, else at the end."""
        wanted = name.lower()
        items: list[tuple[bytes, bytes]] = []
        placed = False
        for item in self.items:
            if item[0].lower() != wanted:
                items.append(item)
            elif not placed:
                items.append((item[0], value))
                placed = True
        if not placed:
            items.append((name, value))
        return Headers(tuple(items))

    def encode(self) -> bytes:
        """The field lines, each with its CRLF."""
        return b"".join(b"%s: %s\r\n" % item for item in self.items)

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __repr__(self) -> str:
        # Values may be credentials; a traceback must not show them.
        return f"<Headers {b', '.join(name for name, _ in self.items).decode('ascii', 'replace')}>"


_EMPTY = Headers()
