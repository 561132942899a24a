"""HAR files (HTTP Archive 1.2), which browsers and proxies write: each entry a request and its response."""

import base64
import binascii
import re
from collections.abc import Callable, Iterator

import msgspec

from icapd.http.headers import Headers
from icapd.services.examination import encode
from icapd.services.offline import Message


class NoHar(ValueError):
    """What is wrong with the file, and where in it."""


class Pair(msgspec.Struct, frozen=True):
    name: str = ""
    value: str = ""


class PostData(msgspec.Struct, frozen=True, rename="camel"):
    mime_type: str = ""
    text: str = ""
    encoding: str = ""
    #: Of a form, where there is no text.
    params: tuple[Pair, ...] = ()


class Content(msgspec.Struct, frozen=True, rename="camel"):
    mime_type: str = ""
    text: str = ""
    encoding: str = ""


class HarRequest(msgspec.Struct, frozen=True, rename="camel"):
    method: str
    url: str
    headers: tuple[Pair, ...] = ()
    post_data: PostData | None = None


class HarResponse(msgspec.Struct, frozen=True):
    headers: tuple[Pair, ...] = ()
    content: Content = Content()


class Entry(msgspec.Struct, frozen=True):
    request: HarRequest
    response: HarResponse = HarResponse()


class Log(msgspec.Struct, frozen=True):
    entries: tuple[Entry, ...]


class Archive(msgspec.Struct, frozen=True):
    log: Log


_OF_TRAVEL = frozenset({b"content-encoding", b"content-length", b"content-type", b"transfer-encoding"})
_CHARSET = re.compile(r""";\s*charset\s*=\s*(?:"[^"]*"|[^;]*)""", re.IGNORECASE)
_decoder = msgspec.json.Decoder(Archive)


def har_messages(content: bytes, mask: Callable[[bytes], bytes]) -> Iterator[tuple[str, Message]]:
    """Each message with its place, such as `#3 response GET https://host/path`. Raises NoHar.

    `mask` takes secrets out of the URL in the place; its query is left out anyway.
    """
    try:
        archive = _decoder.decode(content.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.MsgspecError, RecursionError) as error:
        raise NoHar(str(error)) from None
    for number, entry in enumerate(archive.log.entries, 1):
        request = entry.request
        method, url = encode(request.method), encode(request.url)
        place = f"{printable(method)} {printable(mask(url.partition(b'?')[0]))}"
        try:
            yield f"#{number} request {place}", Message("request", method, url, *_of_request(request))
            yield (
                f"#{number} response {place}",
                Message("response", method, url, *_of_response(entry.response)),
            )
        except binascii.Error as error:
            raise NoHar(f"entry {number}: a body is not base64: {error}") from None


def printable(name: bytes) -> str:
    """A name that others chose, for a terminal and for JSON: no control characters, no broken UTF-8."""
    text = name.decode("utf-8", "replace")
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )


def _of_request(request: HarRequest) -> tuple[Headers, bytes]:
    post = request.post_data or PostData()
    text = post.text or "&".join(f"{pair.name}={pair.value}" for pair in post.params)
    return _headers(request.headers, post.mime_type, post.encoding), _body(text, post.encoding)


def _of_response(response: HarResponse) -> tuple[Headers, bytes]:
    content = response.content
    return _headers(response.headers, content.mime_type, content.encoding), _body(
        content.text, content.encoding
    )


def _headers(pairs: tuple[Pair, ...], mime_type: str, encoding: str) -> Headers:
    """The fields, less what tells how the body travelled: the file has it decoded, and text in UTF-8."""
    fields = [(encode(pair.name), encode(pair.value)) for pair in pairs]
    kept = [(name, value) for name, value in fields if name.lower() not in _OF_TRAVEL]
    given = mime_type or next((pair.value for pair in pairs if pair.name.lower() == "content-type"), "")
    content_type = given if encoding else _CHARSET.sub("", given)
    return Headers((*kept, *([(b"Content-Type", encode(content_type))] if content_type else [])))


def _body(text: str, encoding: str) -> bytes:
    return base64.b64decode(text, validate=True) if encoding == "base64" else encode(text)
