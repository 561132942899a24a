"""Lines 61 to 68: the answer to OPTIONS (RFC 3507 section 4.10)."""

import email.utils
import statistics
import time
from contextlib import ExitStack

from icapd.conformance.check import Check, Level, NotApplicable, Shortfall, Violation, printable
from icapd.conformance.lab import Lab

_TRANSFERS = (b"Transfer-Preview", b"Transfer-Ignore", b"Transfer-Complete")
#: Connections that are in the middle of a request while OPTIONS are timed.
_LOAD = 50
#: Seconds by which a clock may be off: Squid's default time to live is 60.
_CLOCK = 60


def needed_fields(lab: Lab) -> str:
    for service in lab.services:
        reply = service.options
        for name in (b"Methods", b"ISTag", b"Encapsulated"):
            if reply.get(name) is None:
                raise Violation(f"{service.path}: no {name.decode()}")
        if reply.get(b"Encapsulated") != b"null-body=0" and reply.body is None:
            value = printable(reply.get(b"Encapsulated") or b"")
            raise Violation(f"{service.path}: Encapsulated: {value}, with no body")
        methods = service.methods
        if b"OPTIONS" in methods or len(methods) != 1:
            raise Violation(f"{service.path}: Methods: {printable(b', '.join(sorted(methods)))}")
    return "Methods, ISTag and Encapsulated"


def preview_and_transfer(lab: Lab) -> str:
    for service in lab.services:
        if service.preview is None:
            raise Violation(f"{service.path}: no Preview: Squid never sends one then")
        lists = [token for name in _TRANSFERS for token in service.options.get_list(name)]
        if lists.count(b"*") != 1:
            raise Violation(f"{service.path}: {lists.count(b'*')} of the Transfer- lists have a *, not one")
    return ", ".join(f"{service.path}: Preview: {service.preview}" for service in lab.services)


def mirrored_allow(lab: Lab) -> str:
    for service in lab.services:
        for offered in ("", "trailers", "206, trailers", "204, 206, trailers"):
            fields = [f"Allow: {offered}".encode()] if offered else []
            allowed = set(lab.ask(lab.options_request(service.path, fields)).get_list(b"allow"))
            if b"204" not in allowed:
                raise Violation(f"{service.path}: no 204 in Allow")
            unasked = sorted(
                token.decode("ascii", "replace")
                for token in (allowed & {b"206", b"trailers"})
                if token.decode() not in offered
            )
            if unasked:
                raise Violation(
                    f"{service.path}: Allow has {', '.join(unasked)}, the request {offered or 'none'}"
                )
    return "204 always, 206 and trailers only to those who offer them"


def date_and_ttl(lab: Lab) -> str:
    for service in lab.services:
        reply = lab.ask(lab.options_request(service.path))
        value = (reply.get(b"Date") or b"").decode("ascii", "replace")
        try:
            off = abs(email.utils.parsedate_to_datetime(value).timestamp() - time.time())
        except ValueError:
            raise Violation(f"{service.path}: Date is none, or missing") from None
        if off > _CLOCK:
            raise Violation(f"{service.path}: Date is {off:.0f} s off (or the clock here is)")
        ttl = reply.get(b"Options-TTL")
        if ttl is None or not ttl.isdigit() or not 300 <= int(ttl) <= 3600:
            shown = printable(ttl) if ttl else "missing"
            raise Shortfall(f"{service.path}: Options-TTL is {shown}, not 300 to 3600")
    return "Date is right, Options-TTL sensible"


def max_connections(lab: Lab) -> str:
    for service in lab.services:
        value = service.options.get(b"Max-Connections")
        if value is None or not value.isdigit() or int(value) == 0:
            raise Violation(f"{service.path}: Max-Connections is {printable(value) if value else 'missing'}")
    return "more than 0"


def names(lab: Lab) -> str:
    for service in lab.services:
        for name in (b"Service", b"Service-ID", b"X-Include"):
            if service.options.get(name) is None:
                raise Violation(f"{service.path}: no {name.decode()}")
    return "Service, Service-ID, X-Include"


def quick(lab: Lab) -> str:
    service = lab.service
    request = lab.request(service, lab.message(service))
    with ExitStack() as stack:
        busy = [stack.enter_context(lab.conversation()) for _ in range(_LOAD)]
        for conversation in busy:
            conversation.send(request[:-8])
        times = []
        for conversation in busy[:9]:
            with lab.conversation() as other:
                began = time.monotonic()
                other.send(lab.options_request())
                other.reply()
                times.append(time.monotonic() - began)
            conversation.send(request[-8:])
    median = statistics.median(times)
    if median > lab.options.options_limit:
        raise Violation(f"{1000 * median:.0f} ms, with {_LOAD} requests under way")
    return f"{1000 * median:.1f} ms, with {_LOAD} requests under way"


def distinct_uris(lab: Lab) -> str:
    for service in lab.services:
        if service.options.get(b"Transfer-Ignore") is not None:
            raise Violation(f"{service.path}: by Transfer-Ignore a URL can go round the server")
        if len(service.methods) > 1:
            raise Shortfall(f"{service.path} is the URI of two methods")
    if not lab.services:
        raise NotApplicable("no service was found")
    return "a URI for each method, no Transfer-Ignore"


_MUST, _SHOULD = Level.MUST, Level.SHOULD
CHECKS = (
    Check(61, _MUST, "4.10.2", "Methods (one), ISTag, Encapsulated: null-body=0", needed_fields),
    Check(62, _MUST, "4.10.2, Squid", "Preview, and * in one Transfer- list", preview_and_transfer),
    Check(63, _MUST, "PC 4.1, g3proxy", "Allow: 204; 206 and trailers only where offered", mirrored_allow),
    Check(64, _MUST, "4.10.2, Squid", "an accurate Date; SHOULD: Options-TTL 300 to 3600", date_and_ttl),
    Check(65, _SHOULD, "Squid", "Max-Connections over 0, by real capacity", max_connections),
    Check(66, _SHOULD, "4.10.2, SU 5.1", "Service, Service-ID and X-Include", names),
    Check(67, _MUST, "Squid", "answered within 100 ms, whatever else is under way", quick),
    Check(68, _MUST, "6.4, Squid", "SHOULD: a URI for each method; no Transfer-Ignore", distinct_uris),
)
