"""/healthz, /readyz and /metrics on a small HTTP listener of its own thread."""

import socket
import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

from icapd.errors import ConfigurationError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_TEXT = (("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store"))


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    # A scraper that hangs must not keep the next one out.
    request_queue_size = 16


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    #: Seconds for one request; monitoring asks and goes.
    timeout = 5

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a scrape every few seconds is no event."""


class StatusServer:
    """Answers while the event loop works; reads what it tells through callables."""

    def __init__(
        self, address: tuple[str, int], registry: CollectorRegistry, unready: Callable[[], str | None]
    ) -> None:
        """`unready`: why the server should get no traffic now, or None. Raises ConfigurationError."""
        self._metrics = make_wsgi_app(registry)
        self._unready = unready
        host, port = address
        server_class = _Server6 if ":" in host else _Server
        try:
            self._server = make_server(host, port, self._answer, server_class, _Handler)
        except OSError as error:
            raise ConfigurationError(
                f"server.http_listen: can't listen on {host}:{port}: {error.strerror or error}; "
                "choose another port, or stop what holds it"
            ) from None
        self._thread = threading.Thread(target=self._server.serve_forever, name="status-http", daemon=True)

    @property
    def port(self) -> int:
        return self._server.server_port

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            page: Iterable[bytes] = self._metrics(environ, start_response)
            return page
        status, text = self._page(path)
        # A list of its own: the WSGI server adds to it.
        start_response(status, list(_TEXT))
        return [f"{text}\n".encode()]

    def _page(self, path: str) -> tuple[str, str]:
        if path == "/healthz":
            return "200 OK", "ok"
        if path == "/readyz":
            problem = self._unready()
            return ("200 OK", "ready") if problem is None else ("503 Service Unavailable", problem)
        return "404 Not Found", "the pages here are /healthz, /readyz and /metrics"
