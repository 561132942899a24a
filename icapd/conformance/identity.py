"""Lines 74 to 78: who the user is, what was found, and TLS."""

import base64
import re
import ssl
import warnings
from dataclasses import replace

from icapd.conformance.check import Check, Level, NotApplicable, Violation, printable
from icapd.conformance.conversation import Conversation, Unreachable
from icapd.conformance.lab import Lab

_FINE = {200, 204}
_INFECTION = re.compile(rb"Type=\d+; ?Resolution=\d+; ?Threat=[^;\r\n]+;", re.IGNORECASE)


def identity_headers(lab: Lab) -> str:
    service = lab.service
    names = [
        "LDAP://ldap.example/o=x,cn=ann",
        "WinNT://DOM/ann",
        "radius://host/ann",
        "Local://J\u00fcrgen",
        "ann",
    ]
    fields = [b"X-Client-IP: 192.0.2.7", b"X-Client-IP: 2001:db8::1", b"X-Client-IP: <nobody>"]
    fields += [b"X-Authenticated-User: " + base64.b64encode(name.encode()) for name in names]
    fields += [
        b"X-Authenticated-User: %%%not base64",
        b"X-Authenticated-Groups: " + base64.b64encode(b"LDAP://a/b\nLDAP://a/c"),
        b"X-Client-Username: DOM\\user",
        b"X-Client-Username: \xc3\xa4\xff",
        b"X-Client-Username: " + b"x" * 4000,
    ]
    for line in fields:
        what = f"{printable(line, 40)!r}"
        reply = lab.ask(lab.request(service, lab.message(service), [line, b"Allow: 204"]), what)
        if reply.status not in _FINE:
            raise Violation(f"{what}: {reply.line}")
    return f"{len(fields)} forms, none an error (what is made of them, the server's records tell)"


def found_headers(lab: Lab) -> str:
    seen = 0
    for name, reply in lab.sample_replies.items():
        infection, violations = reply.get(b"X-Infection-Found"), reply.get(b"X-Violations-Found")
        for value in (infection, violations):
            if value is not None and re.search(rb"[\r\n\x00]", value):
                raise Violation(f"{name}: more than one line")
        if infection is not None:
            seen += 1
            if not _INFECTION.fullmatch(infection):
                raise Violation(f"{name}: X-Infection-Found is not `Type=N; Resolution=N; Threat=TEXT;`")
        if violations is not None:
            seen += 1
            if not re.match(rb"\d+(?:$|[\s,;])", violations):
                raise Violation(f"{name}: X-Violations-Found begins with no count")
    if not seen:
        raise NotApplicable("no answer has X-Infection-Found or X-Violations-Found")
    return f"{seen} headers, in form"


def tls(lab: Lab) -> str:
    if lab.target.tls is None:
        raise NotApplicable("the URL is icap://, not icaps://")
    plain = replace(lab.target, tls=None)
    # A handshake that never goes on must not keep the others out.
    with Conversation(plain, lab.options.timeout) as half_open:
        half_open.send(b"\x16\x03\x01")
        try:
            with lab.conversation() as conversation:
                version = conversation.tls_version
                lab.expect_next(conversation, "the handshake")
        except Unreachable as error:
            raise Violation(f"while another handshake stands still: {error}") from None
    try:
        with Conversation(replace(lab.target, tls=_outdated()), lab.options.timeout) as outdated:
            raise Violation(f"{outdated.tls_version} is accepted")
    except Unreachable:
        return f"{version}; 1.1 is refused"


def _outdated() -> ssl.SSLContext:
    """A client that knows no TLS 1.2; what it talks to does not matter."""
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        # That these versions are deprecated is why they are tried.
        warnings.simplefilter("ignore", DeprecationWarning)
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    return old


_MUST = Level.MUST
CHECKS = (
    Check(74, _MUST, "SU 3", "identity headers of any form are no error", identity_headers),
    Check(
        75,
        _MUST,
        "own",
        "identity headers are believed from allowed peers only",
        None,
        "what was believed is in the server's records",
    ),
    Check(76, _MUST, "SU 4.5, 4.6, Squid", "X-Infection-Found and X-Violations-Found in form", found_headers),
    Check(
        77,
        _MUST,
        "own",
        "Proxy-Authorization is never logged nor stored",
        None,
        "needs the server's log and database",
    ),
    Check(78, _MUST, "Squid", "icaps: TLS 1.2 or later, half-open handshakes hurt nobody", tls),
)
