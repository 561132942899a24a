"""Visits as people and programs make them all day: each gets what was sent, or what the rules make of it."""

from soak.bodies import Body, binary, event_stream, gzipped, json_document, text
from soak.origin import Reply
from soak.visit import MAX_HELD_REQUEST, MAX_HELD_RESPONSE, Visit

KiB, MiB = 1024, 1024 * 1024
#: The max_size of the rule content.response-size.
LARGE = 100 * MiB
PAGE = b"<!DOCTYPE html><html><body><p>%b</p></body></html>" % (b"all is well " * 400)


async def small_page(visit: Visit) -> None:
    body = Body.of(PAGE[: visit.rng.randrange(200, 4000)], "text/html")
    await _get(visit, body)


async def json_answer(visit: Visit) -> None:
    await _get(visit, json_document(visit.rng, visit.rng.randrange(1, 500)).sent)


async def large_json_answer(visit: Visit) -> None:
    await _get(visit, json_document(visit.rng, visit.rng.randrange(1200, 8000)).sent)


async def chunked_answer(visit: Visit) -> None:
    body = text(visit.rng, visit.rng.randrange(1, 300 * KiB)).sent
    await _get(visit, body, Reply(body=body, framing="chunked", piece=visit.rng.randrange(500, 9000)))


async def closed_answer(visit: Visit) -> None:
    """No length, no chunks: the connection's end is the body's."""
    body = text(visit.rng, visit.rng.randrange(1, 300 * KiB)).sent
    await _get(visit, body, Reply(body=body, framing="close"))


async def gzip_answer(visit: Visit) -> None:
    await _get(visit, gzipped(json_document(visit.rng, visit.rng.randrange(10, 3000)).sent))


async def image(visit: Visit) -> None:
    await _get(visit, binary(visit.rng, visit.rng.randrange(1, 200 * KiB), "image/png"))


async def _get(visit: Visit, body: Body, reply: Reply | None = None) -> None:
    reply = reply or Reply(body=body)
    visit.replies(reply)
    visit.check(await visit.fetch(visit.request()), body)
    visit.expect_request()
    visit.expect_response(body, length_known=reply.framing == "length")


async def secret_in_json(visit: Visit) -> None:
    document = json_document(visit.rng, visit.rng.randrange(5, 2000), secrets=visit.rng.randrange(1, 5))
    visit.replies(Reply(body=document.sent, headers={"ETag": '"1"'}))
    answer = await visit.fetch(visit.request())
    visit.check(answer, document.expected_of_length(MAX_HELD_RESPONSE))
    visit.that("etag" not in answer.fields, "a changed body kept its ETag")
    _expect_redaction(visit, document.sent)


async def secret_in_gzip(visit: Visit) -> None:
    document = json_document(visit.rng, visit.rng.randrange(5, 2000), secrets=2)
    sent = gzipped(document.sent)
    visit.replies(Reply(body=sent))
    answer = await visit.fetch(visit.request())
    visit.check(answer, document.expected)
    visit.that("content-encoding" not in answer.fields, "plain text with a Content-Encoding")
    _expect_redaction(visit, sent)


async def secret_in_chunks(visit: Visit) -> None:
    """Pieces of any size: a secret may lie across two of them."""
    document = text(visit.rng, visit.rng.randrange(2 * KiB, 200 * KiB), secrets=1)
    visit.replies(Reply(body=document.sent, framing="chunked", piece=visit.rng.randrange(50, 3000)))
    visit.check(await visit.fetch(visit.request()), document.expected)
    _expect_redaction(visit, document.sent)


def _expect_redaction(visit: Visit, sent: Body) -> None:
    visit.expect_request()
    visit.expect_response(sent, verdict="redacted", disposition="redacted")


async def big_archive(visit: Visit) -> None:
    body = binary(visit.rng, visit.rng.randrange(50, 200) * MiB)
    # The pack "content" notes what is larger.
    await _download(visit, body, verdict="logged" if body.size > LARGE else "allowed")


async def big_log(visit: Visit) -> None:
    """Flows, with secrets in it."""
    log = text(visit.rng, visit.rng.randrange(50, 100) * MiB, secrets=20)
    visit.replies(Reply(body=log.sent))
    visit.check(
        await visit.fetch(visit.request(), "httpx", "requests", "by hand"),
        log.expected_of_length(MAX_HELD_RESPONSE),
    )
    _expect_redaction(visit, log.sent)


async def big_clean_log(visit: Visit) -> None:
    await _download(visit, text(visit.rng, visit.rng.randrange(2, 30) * MiB).sent)


async def _download(visit: Visit, body: Body, **fields: object) -> None:
    visit.replies(Reply(body=body))
    visit.check(await visit.fetch(visit.request(), "httpx", "requests", "by hand"), body)
    visit.expect_request()
    visit.expect_response(body, **fields)


async def events(visit: Visit) -> None:
    stream = event_stream(visit.rng, visit.rng.randrange(3, 20), secrets=visit.rng.randrange(2))
    visit.replies(Reply(body=stream.sent, framing="chunked", pause=visit.rng.random() / 3))
    visit.check(await visit.fetch(visit.request()), stream.expected)
    visit.expect_request()
    redacted = stream.sent.digest != stream.expected.digest
    verdict = "redacted" if redacted else "allowed"
    visit.expect_response(stream.sent, verdict=verdict, disposition=verdict if redacted else "echoed")


async def json_post(visit: Visit) -> None:
    await _post(visit, json_document(visit.rng, visit.rng.randrange(1, 400)).sent)


async def form_post(visit: Visit) -> None:
    fields = "&".join(f"field{number}=value+{number}%C3%BC" for number in range(visit.rng.randrange(1, 300)))
    await _post(visit, Body.of(fields.encode(), "application/x-www-form-urlencoded"))


async def multipart_post(visit: Visit) -> None:
    archive = binary(visit.rng, visit.rng.randrange(100, 40 * KiB)).data()
    await _post(
        visit,
        Body.of(
            b'--b0\r\nContent-Disposition: form-data; name="title"\r\n\r\nreport\r\n'
            b'--b0\r\nContent-Disposition: form-data; name="file"; filename="report.zip"\r\n'
            b"Content-Type: application/zip\r\n\r\n%b\r\n--b0--\r\n" % archive,
            "multipart/form-data; boundary=b0",
        ),
    )


async def chunked_post(visit: Visit) -> None:
    """Its length is known to nobody."""
    await _post(visit, text(visit.rng, visit.rng.randrange(1, 500 * KiB)).sent, chunked=True)


async def large_upload(visit: Visit) -> None:
    """Flows past the rules on whole fields, and its row says so."""
    body = text(visit.rng, visit.rng.randrange(2, 12) * MiB).sent
    assert body.size > MAX_HELD_REQUEST
    await _post(visit, body, inspection="partial", skip_reason="oversize")


async def archive_upload(visit: Visit) -> None:
    await _post(visit, binary(visit.rng, visit.rng.randrange(100, 5 * MiB)))


async def _post(visit: Visit, body: Body, *, chunked: bool = False, **fields: object) -> None:
    receipt = json_document(visit.rng, 1).sent
    visit.replies(Reply(body=receipt, status=201))
    request = visit.request("POST", body=body, chunked=chunked)
    visit.check(await visit.fetch(request), receipt, 201)
    visit.check_arrival(body)
    visit.expect_request("POST", body, length_known=not chunked, **fields)
    visit.expect_response(receipt, "POST", 201)


async def secret_in_post(visit: Visit) -> None:
    document = json_document(visit.rng, visit.rng.randrange(5, 300), secrets=2)
    visit.replies(Reply(status=204))
    visit.check(await visit.fetch(visit.request("PUT", body=document.sent)), None, 204)
    visit.check_arrival(document.expected)
    visit.expect_request("PUT", document.sent, verdict="redacted", disposition="redacted")
    visit.expect_response(None, "PUT", 204)


async def attack(visit: Visit) -> None:
    """Gets a block page with the number of its row; nothing of it comes to the origin."""
    body = Body.of(b"id=1' UNION SELECT name, password FROM users --", "application/x-www-form-urlencoded")
    accept = visit.rng.choice(("text/html", "application/json", "*/*"))
    answer = await visit.fetch(visit.request("POST", body=body, headers={"Accept": accept}))
    visit.that(answer.status == 403, f"an attack was answered {answer.status}")
    media_type = "text/plain" if accept == "*/*" else accept
    visit.that(
        answer.fields["content-type"].startswith(media_type), "a block page of another type than asked for"
    )
    txn_id = answer.fields.get("x-icapd-txn", "")
    visit.that(len(txn_id) == 36 and txn_id.encode() in answer.content, "a block page without its number")
    visit.that(b"UNION" not in answer.content, "a block page that shows the attack")
    visit.that(not visit.arrivals(), "an attack came to the origin")
    visit.expect_request("POST", body, verdict="blocked", disposition="blocked", status=403)


async def many_small_objects(visit: Visit) -> None:
    """A thousand over one connection, each its own."""
    async with visit.tunnel() as tunnel:
        for number in range(1000):
            below = f"/{number}"
            body = Body.of(
                b'{"number": %d, "mark": %d}' % (number, visit.rng.getrandbits(64)), "application/json"
            )
            visit.replies(Reply(body=body), below)
            visit.check(await tunnel.ask(visit.request(below=below)), body)
            visit.expect_request()
            visit.expect_response(body)
