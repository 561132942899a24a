"""Visits that use more of HTTP: conditions, ranges, tunnels, Expect, Upgrade, Squid's cache."""

import asyncio
import ssl

from soak.bodies import Body, json_document, text
from soak.clients import Tunnel
from soak.origin import Reply
from soak.visit import Visit
from soak.wire import read_head

from icapd.fleet.demo_origin import LOOPBACK

KiB = 1024


async def head_request(visit: Visit) -> None:
    """The length of a body that does not come."""
    body = text(visit.rng, visit.rng.randrange(1, 100 * KiB)).sent
    visit.replies(Reply(body=body))
    answer = await visit.fetch(visit.request("HEAD"))
    visit.check(answer, None)
    visit.that(answer.fields["content-length"] == str(body.size), "HEAD tells another length")
    visit.expect_request("HEAD")
    visit.expect_response(None, "HEAD")


async def not_modified(visit: Visit) -> None:
    visit.replies(Reply(status=304, headers={"ETag": '"7"'}))
    answer = await visit.fetch(visit.request(headers={"If-None-Match": '"7"'}))
    visit.check(answer, None, 304)
    visit.that(answer.fields["etag"] == '"7"', "the ETag was lost")
    visit.expect_request()
    visit.expect_response(None, status=304)


async def redirection(visit: Visit) -> None:
    body = Body.of(b"<p>over there</p>", "text/html")
    visit.replies(Reply(status=302, body=body, headers={"Location": "https://demo.icapd.test/elsewhere"}))
    # requests looks ahead into the body of a redirection.
    visit.check(await visit.fetch(visit.request(), "httpx", "curl", "by hand"), body, 302)
    visit.expect_request()
    visit.expect_response(body, status=302)


async def error_of_origin(visit: Visit) -> None:
    body, status = json_document(visit.rng, 3).sent, visit.rng.choice((404, 429, 500, 503))
    visit.replies(Reply(status=status, body=body))
    visit.check(await visit.fetch(visit.request()), body, status)
    visit.expect_request()
    visit.expect_response(body, status=status)


async def range_of_text(visit: Visit) -> None:
    """A part of a resource passes, and its row says so; the origin sends one although icapd asks for all."""
    whole = text(visit.rng, 200 * KiB).sent
    start, end = visit.rng.randrange(100), visit.rng.randrange(5 * KiB, 60 * KiB)
    part = Body.of(whole.data()[start:end], "text/plain")
    headers = {"Content-Range": f"bytes {start}-{end - 1}/{whole.size}"}
    visit.replies(Reply(status=206, body=part, headers=headers))
    answer = await visit.fetch(visit.request(headers={"Range": f"bytes={start}-{end - 1}"}))
    visit.check(answer, part, 206)
    visit.that(answer.fields["content-range"] == headers["Content-Range"], "the range was changed")
    visit.expect_request(disposition="normalised")
    visit.expect_response(part, status=206, inspection="partial", skip_reason="range")


async def range_with_secret(visit: Visit) -> None:
    """Redacted it would not be the range that it says it is: blocked instead."""
    part = text(visit.rng, 20 * KiB, secrets=1)
    headers = {"Content-Range": f"bytes 0-{part.sent.size - 1}/1000000"}
    visit.replies(Reply(status=206, body=part.sent, headers=headers))
    answer = await visit.fetch(visit.request(headers={"Range": f"bytes=0-{part.sent.size - 1}"}))
    visit.that(
        answer.status == 403 and b"AKIA" not in answer.content, "a range with a secret was not blocked"
    )
    visit.expect_request(disposition="normalised")
    visit.expect_response(
        part.sent,
        status=206,
        verdict="blocked",
        disposition="blocked",
        inspection="partial",
        skip_reason="range",
    )


async def cached_object(visit: Visit) -> None:
    """The second answer comes from Squid's cache: its request is inspected, its response was."""
    body = json_document(visit.rng, visit.rng.randrange(1, 200)).sent
    visit.replies(Reply(body=body, headers={"Cache-Control": "max-age=600", "ETag": '"c"'}))
    for _ in range(3):
        visit.check(await visit.fetch(visit.request()), body)
        visit.expect_request()
    visit.check(await visit.fetch(visit.request(headers={"If-None-Match": '"c"'})), None, 304)
    visit.expect_request()
    visit.that(
        len(visit.arrivals()) == 1, f"{len(visit.arrivals())} requests of a cached object at the origin"
    )
    visit.expect_response(body)


async def cached_redaction(visit: Visit) -> None:
    """What was redacted is not kept: the rules may have changed when it is asked for again."""
    document = json_document(visit.rng, 20, secrets=1)
    visit.replies(Reply(body=document.sent, headers={"Cache-Control": "max-age=600"}))
    for _ in range(2):
        visit.check(await visit.fetch(visit.request()), document.expected)
        visit.expect_request()
        visit.expect_response(document.sent, verdict="redacted", disposition="redacted")


async def tunnel_denied(visit: Visit) -> None:
    """Squid says no within a tunnel of its own making, and does not ask icapd: no row."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # its name is whatever was asked for
    authority = visit.rng.choice((f"{LOOPBACK}:{visit.origin.port}", "192.0.2.1:22", "169.254.169.254:443"))
    async with Tunnel.open(visit.proxy, authority, context) as tunnel:
        answer = await tunnel.ask(visit.request())
    visit.that(answer.status == 403, f"a tunnel to {authority} was answered {answer.status}")


async def tunnel_spliced(visit: Visit) -> None:
    """A host that Squid does not decrypt: the CONNECT has its row, nothing else."""
    body = text(visit.rng, 40 * KiB, secrets=1).sent
    visit.replies(Reply(body=body))
    context = ssl.create_default_context(cadata=visit.origin.ca_pem.decode())
    async with Tunnel.open(visit.proxy, visit.spliced_authority, context) as tunnel:
        visit.check(await tunnel.ask(visit.request()), body)


async def expected_upload(visit: Visit) -> None:
    """The body waits for a 100 (RFC 9110 section 10.1.1)."""
    body = json_document(visit.rng, visit.rng.randrange(1, 2000)).sent
    visit.replies(Reply(status=204))
    request = visit.request("POST", body=body, headers={"Expect": "100-continue"})
    async with visit.tunnel() as tunnel:
        await tunnel.send_head(request)
        head = await asyncio.wait_for(read_head(tunnel.reader), 30)
        visit.that(head is not None and head.status == 100, f"{head} instead of 100 Continue")
        await tunnel.send_body(request)
        visit.check(await tunnel.answer(), None, 204)
    visit.check_arrival(body)
    visit.expect_request("POST", body)
    visit.expect_response(None, "POST", 204)


async def expected_upload_by_curl(visit: Visit) -> None:
    body = text(visit.rng, visit.rng.randrange(1, 200 * KiB)).sent
    visit.replies(Reply(status=204))
    request = visit.request("POST", body=body, headers={"Expect": "100-continue"})
    visit.check(await visit.fetch(request, "curl"), None, 204)
    visit.check_arrival(body)
    visit.expect_request("POST", body)
    visit.expect_response(None, "POST", 204)


_UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


async def upgrade_dropped(visit: Visit) -> None:
    """Without a line that allows the protocol Squid takes the Upgrade away; the origin answers in HTTP."""
    body = Body.of(b"websocket only", "text/plain")
    visit.replies(Reply(status=426, body=body))
    visit.check(await visit.fetch(visit.request(headers=_UPGRADE), "by hand"), body, 426)
    visit.that(not visit.arrivals()[0].head.get("upgrade"), "the Upgrade came to the origin")
    visit.expect_request(inspection="partial", skip_reason="upgrade")
    visit.expect_response(body, status=426)


async def upgrade_taken(visit: Visit) -> None:
    """Where Squid lets it through, the frames behind the 101 pass unseen; its row says so."""
    visit.replies(Reply(status=101, headers={"Connection": "Upgrade", "Upgrade": "websocket"}, tunnel=True))
    async with visit.tunnel() as tunnel:
        answer = await tunnel.ask(visit.request(headers=_UPGRADE))
        visit.that(answer.status == 101, f"an upgrade was answered {answer.status}")
        frames = visit.rng.randbytes(2000)
        tunnel.writer.write(frames)
        echoed = await asyncio.wait_for(tunnel.reader.readexactly(len(frames)), 30)
        visit.that(echoed == frames, "the frames of a WebSocket were changed")
    visit.expect_request(inspection="partial", skip_reason="upgrade")
