"""Visits that break off, or take their time: origins that die, clients that leave, both slow."""

import asyncio
import contextlib
from typing import Literal

from soak.bodies import Body, binary, json_document, text
from soak.clients import NoAnswer
from soak.origin import Reply
from soak.visit import MAX_HELD_RESPONSE, PREVIEW, Visit
from soak.wire import chunk

KiB, MiB = 1024, 1024 * 1024


async def slow_origin(visit: Visit) -> None:
    body = text(visit.rng, visit.rng.randrange(2 * KiB, 40 * KiB)).sent
    framing = visit.rng.choice(("length", "chunked"))
    visit.replies(Reply(body=body, framing=framing, piece=body.size // 9 + 1, pause=visit.rng.random() / 3))
    visit.check(await visit.fetch(visit.request()), body)
    visit.expect_request()
    visit.expect_response(body, length_known=framing == "length")


async def slow_client(visit: Visit) -> None:
    """Takes less than is sent, so that Squid and icapd have to wait for it."""
    body = text(visit.rng, visit.rng.randrange(3, 6) * MiB, secrets=3)
    visit.replies(Reply(body=body.sent))
    async with visit.tunnel(slow=True) as tunnel:
        visit.check(
            await tunnel.ask(visit.request(), rate=1 * MiB), body.expected_of_length(MAX_HELD_RESPONSE)
        )
    visit.expect_request()
    visit.expect_response(body.sent, verdict="redacted", disposition="redacted")


async def slow_upload(visit: Visit) -> None:
    body = json_document(visit.rng, visit.rng.randrange(20, 300)).sent
    data = body.data()
    visit.replies(Reply(status=204))
    request = visit.request("POST", body=body)
    async with visit.tunnel() as tunnel:
        await tunnel.send_head(request)
        for start in range(0, len(data), len(data) // 9 + 1):
            tunnel.writer.write(data[start : start + len(data) // 9 + 1])
            await tunnel.writer.drain()
            await asyncio.sleep(0.2)
        visit.check(await tunnel.answer(), None, 204)
    visit.check_arrival(body)
    visit.expect_request("POST", body)
    visit.expect_response(None, "POST", 204)


async def origin_dies_by_length(visit: Visit) -> None:
    """The row says that something is missing, and the client sees it wherever its length is still told.

    A body that flows past the rules has no length any more; Squid ends it as if it were whole, and to break
    the ICAP connection off instead would count as a failure of icapd's.
    """
    body = text(visit.rng, visit.rng.choice((3 * KiB, 50 * KiB, 300 * KiB, 3 * MiB))).sent
    size = await _dies(visit, body, "length", is_seen=body.size <= MAX_HELD_RESPONSE)
    visit.expect_response(
        body, disposition=EITHER, inspection="partial", skip_reason="truncated", size=range(size + 1)
    )


async def origin_dies_in_chunks(visit: Visit) -> None:
    """Squid ends what it sends to icapd, and to the client, as if it were whole: nobody can tell."""
    body = text(visit.rng, visit.rng.choice((3 * KiB, 50 * KiB, 300 * KiB))).sent
    size = await _dies(visit, body, "chunked", is_seen=False)
    visit.expect_response(body, disposition=EITHER, size=range(size + 1))


async def archive_dies(visit: Visit) -> None:
    """Past its preview it goes by icapd, which knows nothing of its end."""
    body = binary(visit.rng, 300 * KiB)
    await _dies(visit, body, "length", 2 * PREVIEW, is_seen=True)
    visit.expect_response(body)


#: Bytes on their way when an end dies may be lost, and with them what they would have made of a body.
EITHER = ("unmodified", "echoed")


async def _dies(
    visit: Visit, body: Body, framing: Literal["length", "chunked"], after: int = 1, *, is_seen: bool
) -> int:
    """Bytes that the origin sent."""
    size = visit.rng.randrange(after, body.size)
    visit.replies(Reply(body=body, framing=framing, dies_after=size))
    visit.expect_request()
    answer = await visit.fetch(visit.request())
    visit.that(answer.status == 200, f"status {answer.status}")
    got = body.first(min(answer.digest.size, size)).digest
    visit.that(answer.digest == got, "a broken body of other bytes than were sent")
    visit.that(
        not (is_seen and answer.whole), f"a body that broke off after {size} bytes came as if it were whole"
    )
    return size


async def upload_cut(visit: Visit) -> None:
    """The client goes in the middle: a shorter request must not reach the origin as if it were whole."""
    await _cut_upload(visit, chunked=False)


async def upload_cut_in_chunks(visit: Visit) -> None:
    await _cut_upload(visit, chunked=True)


async def _cut_upload(visit: Visit, *, chunked: bool) -> None:
    body = text(visit.rng, visit.rng.choice((3 * KiB, 50 * KiB, 300 * KiB, 3 * MiB))).sent
    part = body.data()[: visit.rng.randrange(1, body.size)]
    visit.replies(Reply(status=204))
    async with visit.tunnel() as tunnel:
        await tunnel.send_head(visit.request("POST", body=body, chunked=chunked))
        tunnel.writer.write(chunk(part) if chunked else part)
        await tunnel.writer.drain()
        await asyncio.sleep(visit.rng.random() / 2)
    visit.that(not any(arrival.whole for arrival in visit.arrivals()), "half an upload came as a whole one")
    visit.expect_request(
        "POST",
        body,
        disposition=("failed", "cut", *EITHER),
        inspection="partial",
        skip_reason=("client-gone", "truncated", "oversize"),
        size=range(len(part) + 1),
        gone=True,
    )


async def client_leaves(visit: Visit) -> None:
    """Stops reading in the middle of a download, and goes."""
    body = text(visit.rng, 20 * MiB).sent
    visit.replies(Reply(body=body))
    async with visit.tunnel(slow=True) as tunnel:
        await tunnel.send_head(visit.request())
        await tunnel.reader.readexactly(visit.rng.randrange(1000, 60 * KiB))
    visit.expect_request()
    visit.expect_response(
        body,
        disposition="cut",
        inspection="partial",
        skip_reason=("client-gone", "truncated"),
        size=range(body.size),
        gone=True,
    )


async def early_answer(visit: Visit) -> None:
    """The origin has seen enough before the upload is through."""
    upload, body = text(visit.rng, 5 * MiB).sent, Body.of(b"too large", "text/plain")
    visit.replies(Reply(status=413, body=body, early=True))
    async with visit.tunnel() as tunnel:
        # Squid closes on what still comes of the upload, and the reset may overtake the answer.
        with contextlib.suppress(NoAnswer):
            visit.check(await tunnel.ask(visit.request("POST", body=upload)), body, 413)
    visit.expect_request(
        "POST",
        upload,
        disposition=("echoed", "cut"),
        inspection="partial",
        skip_reason="oversize",
        size=range(upload.size + 1),
        gone=True,
    )
    visit.expect_response(body, "POST", 413, gone=True)
