"""ICAP replies taken apart, with their framing checked to the last byte."""

import re
from dataclasses import dataclass

_STATUS = re.compile(rb"ICAP/1\.0 (\d{3}) [^\r\n]+\r\n")
_ENCAPSULATED = re.compile(rb"\r\nEncapsulated: (?:(?:req|res)-hdr=0, )?([a-z]+-body)=(\d+)\r\n")
_CHUNK_LINE = re.compile(rb"([0-9a-f]{1,8})(; use-original-body=\d+)?\r\n")


@dataclass(frozen=True)
class IcapReply:
    """One reply, 100 included."""

    status: int
    icap_head: bytes
    http_head: bytes = b""
    body: bytes = b""
    #: Whether it ends where it should: a connection may break off in the middle.
    is_whole: bool = True


def replies_of(data: bytes) -> list[IcapReply]:
    """All replies of one connection; the last one may be cut short. AssertionError for anything else."""
    replies = []
    while data:
        head, end, data = data.partition(b"\r\n\r\n")
        head += end
        status = _STATUS.match(head)
        assert status is not None and end, f"no reply: {head[:60]!r}"
        code = int(status[1])
        encapsulated = _ENCAPSULATED.search(head)
        if code in (100, 204):
            assert encapsulated is None
            replies.append(IcapReply(code, head))
            continue
        assert encapsulated is not None, f"a {code} without Encapsulated"
        size = int(encapsulated[2])
        http_head, data = data[:size], data[size:]
        assert not size or (http_head.count(b"\r\n\r\n") == 1 and http_head.endswith(b"\r\n\r\n"))
        if encapsulated[1] == b"null-body":
            replies.append(IcapReply(code, head, http_head))
            continue
        body, data, is_whole = _dechunked(data)
        replies.append(IcapReply(code, head, http_head, body, is_whole))
        assert is_whole or not data
    return replies


def _dechunked(data: bytes) -> tuple[bytes, bytes, bool]:
    """The body, what stands behind it, and whether it ends at all."""
    body = b""
    while data:
        line = _CHUNK_LINE.match(data)
        assert line is not None, f"no chunk: {data[:40]!r}"
        size, data = int(line[1], 16), data[line.end() :]
        if not size:
            trailers, end, rest = data.partition(b"\r\n")
            while trailers:
                trailers, end, rest = rest.partition(b"\r\n")
            assert end
            return body, rest, True
        assert data[size : size + 2] == b"\r\n"
        body, data = body + data[:size], data[size + 2 :]
    return body, b"", False
