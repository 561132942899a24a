"""What of a URL may be kept: the names of its parameters, and `*` in the place of their values.

    /search?q=my+illness&page=2       /search?q=*&page=*
    /cart;jsessionid=5E0F/items       /cart;jsessionid=*/items

No byte of a value stays, however the origin reads it. So only `&` separates (WHATWG URL, section 5.1): where
`;` does too, what stands behind one counts as part of the value before it. A name that is not like one is
`*` as well: it may be a value that somebody put in its place.
"""

import re

#: Parameters that are looked at: as many as a shape that is kept has room for (2,048 characters).
MAX_PARAMETERS = 1024
#: A name that is kept: of this length at most, and with fewer digits than a number of a person has.
_NAME = re.compile(rb"(?!(?:[^0-9]*[0-9]){9})[^;]{1,40}", re.DOTALL)
#: Bytes from which a name with nothing but `=` behind it may be base64 with its padding.
_MIN_BASE64 = 16
_MATRIX = re.compile(rb";([^;/]+)")
_MASK = b"*"


def query_shape(query: bytes) -> bytes:
    """The query (without its `?`) with its names alone; names are as they came, percent-encoded or not."""
    return b"&".join(map(_shape, query.split(b"&", MAX_PARAMETERS))) if query else b""


def path_shape(path: bytes) -> bytes:
    """The path without the values of parameters in its segments (RFC 3986 section 3.3)."""
    return _MATRIX.sub(lambda match: b";" + _shape(match[1]), path) if b";" in path else path


def _shape(parameter: bytes) -> bytes:
    name, equals, value = parameter.partition(b"=")
    if not parameter:
        return b""
    if not equals or (name and not _NAME.fullmatch(name)) or _may_be_base64(name, value):
        return _MASK
    return name + b"=*"


def _may_be_base64(name: bytes, value: bytes) -> bool:
    return len(name) >= _MIN_BASE64 and not value.strip(b"=") and (len(name) + 1 + len(value)) % 4 == 0
