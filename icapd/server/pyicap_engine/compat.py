"""pyicap 1.0b1 as it can be used today: on any Python, and with types."""

import collections.abc
from socketserver import StreamRequestHandler, TCPServer
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pyicap  # type: ignore[import-untyped]

__all__ = ["BaseICAPRequestHandler", "ICAPError", "ICAPServer"]

# pyicap calls `isinstance(method, collections.Callable)` for each request, and Python 3.10 took that name
# away. It uses nothing else of `collections`. The module `collections` itself stays as it is: other code may
# rightly look there for what is missing.
pyicap.collections = SimpleNamespace(Callable=collections.abc.Callable)

if TYPE_CHECKING:

    class ICAPError(Exception):
        """What a service raises to have an ICAP error sent."""

        code: int
        message: str | tuple[bytes, bytes]

        def __init__(self, code: int = 500, message: str | None = None) -> None: ...

    class ICAPServer(TCPServer):
        """A TCPServer that reuses its address."""

    class BaseICAPRequestHandler(StreamRequestHandler):
        """The part of pyicap's handler that is used here."""

        close_connection: bool
        has_body: bool
        #: The end of the body, or of the preview, was read.
        eob: bool
        #: The preview was the whole body.
        ieof: bool
        preview: bytes | None
        _responses: dict[int, tuple[bytes, bytes]]

        def parse_request(self) -> None: ...
        def handle_one_request(self) -> None: ...
        def read_chunk(self) -> bytes: ...
        def send_error(self, code: int, message: bytes | None = None) -> None: ...

else:
    from pyicap import BaseICAPRequestHandler, ICAPError, ICAPServer
