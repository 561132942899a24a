"""A small HTTPS origin on loopback, for a demonstration that needs no internet."""

import json
import secrets
import ssl
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from socket import socket
from typing import Any, ClassVar, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from icapd.fleet.ca import CLOCK_SKEW, CertificateAuthority

#: RFC 6761: a name of `.test` is nobody's.
HOST = "demo.icapd.test"
LOOPBACK = "127.0.0.1"

_LIFETIME = timedelta(days=30)
EVENT_INTERVAL = 1.0  # seconds between two events of /events


class OriginHandler(BaseHTTPRequestHandler):
    """One connection: each request goes to the route of its path."""

    protocol_version = "HTTP/1.1"
    # Head and body leave in two writes; the second must not wait for the first one's acknowledgement.
    disable_nagle_algorithm = True
    routes: ClassVar[Mapping[str, "Route"]]
    #: Requests that came on this connection so far.
    requests = 0

    def do_GET(self) -> None:
        self.requests += 1
        route = self.routes.get(self.path.partition("?")[0])
        if route is None:
            self.send_error(HTTPStatus.NOT_FOUND)
        else:
            route(self)

    do_POST = do_GET

    def read_body(self) -> bytes:
        """By its length, or chunked: a body that icapd adapts as it flows has no length yet."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():  # trailer
            pass
        return b"".join(chunks)

    def send_body(self, body: bytes, content_type: str, **headers: str) -> None:
        """A whole response; `headers` in keyword form, as in Content_Encoding="gzip"."""
        self.start(content_type, Content_Length=str(len(body)), **headers)
        self.wfile.write(body)

    def send_json(self, value: object) -> None:
        self.send_body(json.dumps(value).encode(), "application/json")

    def start(self, content_type: str, **headers: str) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", content_type)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def send_chunk(self, data: bytes) -> None:
        """One chunk of a chunked body; an empty one ends it (RFC 9112 section 7.1)."""
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: what the origin saw is not what the demonstration is about."""


Route = Callable[[OriginHandler], None]


def access_key_id() -> str:
    """Looks like an AWS access key id, made up anew each time."""
    return "AKIA" + "".join(secrets.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") for _ in range(16))


def _send_clean(handler: OriginHandler) -> None:
    handler.send_json({"status": "ok", "message": "nothing to see here"})


def _send_secret(handler: OriginHandler) -> None:
    handler.send_json({"user": "alice", "aws_access_key_id": access_key_id(), "region": "eu-central-1"})


def _send_events(handler: OriginHandler) -> None:
    handler.start("text/event-stream", Transfer_Encoding="chunked")
    for number in range(5):
        if number:
            time.sleep(EVENT_INTERVAL)
        event = {"number": number, "sent": time.monotonic(), "key": access_key_id() if number == 2 else None}
        handler.send_chunk(b"data: %b\n\n" % json.dumps(event).encode())
    handler.send_chunk(b"")


def _echo(handler: OriginHandler) -> None:
    handler.send_body(handler.read_body(), handler.headers.get("Content-Type", "application/octet-stream"))


ROUTES: Mapping[str, Route] = {
    "/clean": _send_clean,
    "/secret": _send_secret,
    "/events": _send_events,
    "/echo": _echo,
}


class DemoOrigin(ThreadingHTTPServer):
    """Serves `routes` on a free port of loopback in threads of its own, while its context lasts."""

    daemon_threads = True

    def __init__(self, routes: Mapping[str, Route] = ROUTES) -> None:
        super().__init__((LOOPBACK, 0), type("Handler", (OriginHandler,), {"routes": routes}))
        self._ca = CertificateAuthority.create(
            now=datetime.now(UTC), lifetime=_LIFETIME, name="icapd demonstration origin CA"
        )
        self._tls = _server_context(self._ca)
        self._thread = threading.Thread(target=self.serve_forever, name="demo-origin", daemon=True)

    @property
    def port(self) -> int:
        return self.server_port

    @property
    def ca_pem(self) -> bytes:
        """What a client of this origin must trust; it goes with the process."""
        return self._ca.certificate.public_bytes(serialization.Encoding.PEM)

    def get_request(self) -> tuple[socket, Any]:
        # The handshake waits for the handler's thread: a slow client must not keep others out.
        connection, address = super().get_request()
        return self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """The proxy closes connections when it likes; anything else is a defect and shown."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


def _server_context(ca: CertificateAuthority) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + _server_certificate(ca, key.public_key()).public_bytes(serialization.Encoding.PEM)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    # OpenSSL loads a chain from a file only; this one is the owner's alone and gone at once.
    with tempfile.NamedTemporaryFile() as file:
        file.write(pem)
        file.flush()
        context.load_cert_chain(file.name)
    return context


def _server_certificate(ca: CertificateAuthority, key: ec.EllipticCurvePublicKey) -> x509.Certificate:
    now = datetime.now(UTC)
    names = [x509.DNSName(HOST), x509.DNSName("localhost"), x509.IPAddress(IPv4Address(LOOPBACK))]
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)]))
        .issuer_name(ca.certificate.subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + _LIFETIME - CLOCK_SKEW)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        # Squid copies this identifier's presence: without it here, strict clients refuse Squid's leaf.
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key()), critical=False
        )
        .sign(ca.key, hashes.SHA256())
    )
