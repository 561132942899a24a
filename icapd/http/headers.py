"""HTTP header fields as a value: ordered, spelled as they came, never changed in place."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from icapd.errors import RemoteProtocolError, TooManyFields

# RFC 9110 section 5.6.2: token = 1*tchar.
TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
# RFC 9110 section 5.5: a field value holds no CR, LF or NUL.
_FORBIDDEN_IN_VALUE = re.compile(rb"[\r\n\x00]")
# RFC 9112 section 5.2: obs-fold; a recipient may replace it by spaces.
_OBS_FOLD = re.compile(rb"\r\n[ \t]+")
#: Fields of one head, unless the caller says otherwise.
MAX_FIELDS = 256


_NEEDS_A_LOOK = (b" ", b"\t", b"\n")


class FieldGrammar:
    """What counts as a field line, by what counts as a name."""

    def __init__(self, name: bytes) -> None:
        self.name = re.compile(name)
        line = rb"^(%b):[ \t]*+([^\r\n\x00]*+)(?:\r\n|\Z)" % name.replace(b"]+", b"]++")
        self._line = re.compile(line, re.MULTILINE)

    def split(self, lines: bytes) -> tuple[tuple[bytes, bytes], ...] | None:
        """Names and values of plain lines; None when one of them needs a closer look."""
        if b" \r\n" in lines or b"\t\r\n" in lines or lines.endswith(_NEEDS_A_LOOK):
            return None
        items = tuple(self._line.findall(lines))
        # A match begins and ends with a line: as many of them as lines, and each line is one.
        return items if len(items) == lines.count(b"\n") + 1 else None


#: RFC 9110 section 5.1: a name is a token.
STRICT = FieldGrammar(TOKEN.pattern)
#: What Squid takes for a name in an HTTP message, and hands on: no controls, no white space.
LOOSE = FieldGrammar(rb"[^\x00-\x20:\x7f]+")


@dataclass(frozen=True, slots=True)
class Headers:
    """The field lines of one message, in their order, with their spelling and their duplicates."""

    items: tuple[tuple[bytes, bytes], ...] = ()
    # The first value of each lower-case name, made when first asked for.
    _values: dict[bytes, bytes] | None = field(default=None, init=False, repr=False, compare=False)

    @classmethod
    def parse(cls, lines: bytes, max_fields: int = MAX_FIELDS, grammar: FieldGrammar = STRICT) -> "Headers":
        """Field lines separated by CRLF, without the empty line that ends them.

        Raises RemoteProtocolError for a line without a colon, a name that is none (white space before the
        colon included: RFC 9112 section 5.1), a NUL, or a bare CR or LF; TooManyFields for a line more than
        `max_fields`.
        """
        if not lines:
            return _EMPTY
        if lines.count(b"\r\n") >= max_fields:
            raise TooManyFields(f"a head has more than {max_fields} fields")
        if b"\r\n " in lines or b"\r\n\t" in lines:
            lines = _OBS_FOLD.sub(b" ", lines)
        items = grammar.split(lines)
        return cls(items if items is not None else tuple(_checked(lines, grammar)))

    def get(self, name: bytes) -> bytes | None:
        """The first value of that name (case-insensitive), or None."""
        return self._first_values().get(name.lower())

    def get_all(self, name: bytes) -> tuple[bytes, ...]:
        """Every value of that name (case-insensitive), in order."""
        wanted = name.lower()
        values = self._first_values()
        if wanted not in values:
            return ()
        if len(values) == len(self.items):
            return (values[wanted],)
        return tuple(value for name, value in self.items if name.lower() == wanted)

    def _first_values(self) -> dict[bytes, bytes]:
        values = self._values
        if values is None:
            values = {name.lower(): value for name, value in reversed(self.items)}
            object.__setattr__(self, "_values", values)
        return values

    def get_list(self, name: bytes) -> tuple[bytes, ...]:
        """The members of a comma-separated list field, its repeated lines merged (RFC 9110 section 5.3)."""
        values = self.get_all(name)
        if not values:
            return ()
        return tuple([member for part in b",".join(values).split(b",") if (member := part.strip(b" \t"))])

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
        return b"".join([b"%s: %s\r\n" % item for item in self.items])

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __repr__(self) -> str:
        # Values may be credentials; a traceback must not show them.
        return f"<Headers {b', '.join(name for name, _ in self.items).decode('ascii', 'replace')}>"


_EMPTY = Headers()


def _checked(lines: bytes, grammar: FieldGrammar) -> Iterator[tuple[bytes, bytes]]:
    """Names and values of lines, one by one; RemoteProtocolError for the first that is no field."""
    for line in lines.split(b"\r\n"):
        name, colon, value = line.partition(b":")
        # Either side may be a credential: only the length of the line is told.
        if not colon or not grammar.name.fullmatch(name):
            raise RemoteProtocolError(f"a header line of {len(line)} bytes has no `name:` at its start")
        if _FORBIDDEN_IN_VALUE.search(value):
            raise RemoteProtocolError(f"a header line of {len(line)} bytes holds a NUL, or a bare CR or LF")
        yield name, value.strip(b" \t")
