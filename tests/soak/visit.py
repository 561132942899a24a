"""One visit of a client to the origin: what it asks, what it is to get, and which rows it is to leave."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from random import Random

from soak.bodies import Body
from soak.clients import CLIENTS, Answer, Proxy, Request, Tunnel, WentWrong
from soak.origin import SPLICED_HOST, Arrival, Origin, Reply

from icapd.fleet.demo_origin import HOST

#: icapd's preview, and the size from which Squid keeps no copy of a body that it could go on with by itself
#: (TheBackupLimit in its ModXact.cc): from there on a body is echoed instead of answered by a 204.
PREVIEW = 32 * 1024
BACKUP_LIMIT = 64 * 1024
#: Bytes of a request, and of a response, that icapd holds back until the verdict.
MAX_HELD_REQUEST = 1024 * 1024
MAX_HELD_RESPONSE = 60 * 1024

Sizes = int | range


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row that the audit tables must have. A field that is a tuple names all that may stand there."""

    method_icap: str
    http_method: str
    verdict: str = "allowed"
    disposition: str | tuple[str, ...] = "unmodified"
    inspection: str | tuple[str, ...] = "complete"
    skip_reason: str | tuple[str | None, ...] | None = None
    #: Bytes of the body that came.
    size: Sizes = 0
    status: int | None = None
    #: Whether the client may go within it, and even before icapd has read the request: then there is no row.
    gone: bool = False


def unread(body: Body) -> bool:
    """Whether no rule reads a body of this type."""
    return body.media_type in ("application/zip", "application/octet-stream", "image/png")


def passing(body: Body | None, *, length_known: bool = True) -> dict[str, object]:
    """What a row says of a body that passes unchanged."""
    if body is None or not body.size:
        return {}
    if unread(body):
        # Answered at the preview's end: the rest never comes here.
        return {"inspection": "skipped", "skip_reason": "media-type", "size": min(body.size, PREVIEW)}
    if body.media_type == "text/event-stream":
        return {"disposition": "echoed", "size": body.size}
    # What fits the preview is answered there; of the rest Squid must still have all, to go on without us.
    whole = body.size <= PREVIEW or (length_known and body.size < BACKUP_LIMIT)
    return {"disposition": "unmodified" if whole else "echoed", "size": body.size}


class Visit:
    """What a kind of visit works with."""

    def __init__(self, number: int, kind: str, rng: Random, origin: Origin, proxy: Proxy) -> None:
        self.kind = kind
        self.rng = rng
        self.origin = origin
        self.proxy = proxy
        self.path = f"/soak/{number}/{kind}"
        #: The rows of all its requests, tunnels left out.
        self.rows: list[Row] = []
        #: Bytes of bodies, both ways.
        self.bytes = 0
        #: Bytes of its largest request body.
        self.upload = 0

    # --- asking

    @property
    def authority(self) -> str:
        return f"{HOST}:{self.origin.port}"

    @property
    def spliced_authority(self) -> str:
        return f"{SPLICED_HOST}:{self.origin.port}"

    def request(
        self,
        method: str = "GET",
        *,
        headers: dict[str, str] | None = None,
        body: Body | None = None,
        chunked: bool = False,
        below: str = "",
    ) -> Request:
        """A request for the visit's path, or one `below` it."""
        if body is not None:
            self.bytes += body.size
            self.upload = max(self.upload, body.size)
        url = f"https://{self.authority}{self.path}{below}"
        return Request(url=url, method=method, headers=headers or {}, body=body, chunked=chunked)

    def replies(self, reply: Reply, below: str = "") -> None:
        """What the origin is to answer."""
        self.origin.replies[self.path + below] = reply

    def arrivals(self, below: str = "") -> list[Arrival]:
        """What came to the origin."""
        return self.origin.arrivals.get(self.path + below, [])

    def tunnel(self, *, slow: bool = False) -> AbstractAsyncContextManager[Tunnel]:
        return Tunnel.open(self.proxy, self.authority, slow=slow)

    async def fetch(self, request: Request, *clients: str) -> Answer:
        """By one of these clients, of all if none is named."""
        name = self.rng.choice(clients or tuple(CLIENTS))
        return await CLIENTS[name](self.proxy, request)

    # --- what is to be

    def expect_request(self, method: str = "GET", body: Body | None = None, **fields: object) -> None:
        """A REQMOD row; `fields` differ from those of a request that passes."""
        known = bool(fields.pop("length_known", True))
        values = {**passing(body, length_known=known), **fields}
        self.rows.append(Row(method_icap="REQMOD", http_method=method, **values))  # type: ignore[arg-type]

    def expect_response(
        self, body: Body | None = None, method: str = "GET", status: int = 200, **fields: object
    ) -> None:
        """A RESPMOD row; `fields` differ from those of a response that passes."""
        known = bool(fields.pop("length_known", True))
        values = {**passing(body, length_known=known), **fields}
        self.rows.append(
            Row(method_icap="RESPMOD", http_method=method, status=status, **values)  # type: ignore[arg-type]
        )

    def check(self, answer: Answer, body: Body | None, status: int = 200) -> None:
        """The client got this status and exactly this body."""
        self.bytes += answer.digest.size
        self.that(
            answer.status == status, f"status {answer.status} instead of {status}: {answer.content[:300]!r}"
        )
        self.that(answer.whole, f"the body broke off after {answer.digest.size} bytes")
        wanted = (body or Body.of(b"", "")).digest
        self.that(answer.digest == wanted, f"a body of {answer.digest} instead of {wanted}")

    def check_arrival(self, body: Body, below: str = "") -> None:
        """The origin got exactly this body, once."""
        arrivals = self.arrivals(below)
        self.that(len(arrivals) == 1 and arrivals[0].whole, f"{len(arrivals)} whole requests at the origin")
        got = arrivals[0].body
        self.that(got == body.digest, f"the origin got {got} instead of {body.digest}")

    def that(self, holds: bool, otherwise: str) -> None:
        if not holds:
            raise WentWrong(otherwise)


Kind = Callable[[Visit], Awaitable[None]]
