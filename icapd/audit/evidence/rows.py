"""The rows of a writer, from all tables, as the links of its chain: canonical forms made again from columns.

Whatever stands in a column counts, also what icapd would never have written: then there is no form, and a
problem in its place.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from heapq import merge
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Table

from icapd.audit import canonical, instants
from icapd.audit.outbox.adoption import DIED, STOP
from icapd.audit.record import AuditRecord
from icapd.audit.shadow import ShadowRecord
from icapd.audit.tables import audit_admin, audit_dead_letter, audit_event, audit_shadow
from icapd.settings import MOST_FINDINGS

#: Of values that a canonical form has as they are.
_PLAIN = frozenset({int, str, type(None)})

_EVENT_END = 2 + len(canonical.EVENT)
_SUBJECT_END = _EVENT_END + len(canonical.SUBJECT)
_NOBODY = (None,) * len(canonical.SUBJECT)

_subject_values = attrgetter(*canonical.SUBJECT)
_decode_event = msgspec.json.Decoder(AuditRecord).decode
_decode_shadow = msgspec.json.Decoder(ShadowRecord).decode
_decode_admin = msgspec.json.Decoder(tuple[str, str]).decode


class Link(NamedTuple):
    """A row. `form`: its canonical form; None where there can be none, with the `problem`."""

    seq: int
    table: str
    form: bytes | None
    chain: object
    problem: str = ""
    is_erased: bool = False
    #: Whether it says that its writer has ended.
    is_end: bool = False
    #: Whether it comes from a file of purged rows, whose SHA-256 is signed.
    is_archived: bool = False
    #: Microseconds since 1970-01-01 UTC; None where the column holds no time.
    occurred_at: int | None = None
    #: How many it has, of an event.
    findings: int = 0


#: What a link is made of: these columns of each numbered table, behind writer_seq and the instant.
COLUMNS: dict[Table, tuple[str, ...]] = {
    audit_event: (*canonical.EVENT, *canonical.SUBJECT, "subject_salt", "subject_commitment", "chain"),
    audit_admin: ("action", "detail", "chain"),
    audit_shadow: (*canonical.SHADOW, "chain"),
    audit_dead_letter: ("kind", "body", "salt", "commitment", "chain"),
}
#: The same of findings.
FINDING_COLUMNS = ("item_no", *canonical.FINDING)

Rows = Iterator[Sequence[Any]]


def links_of(writer_id: object, rows: Mapping[Table, Rows], findings: Rows) -> Iterator[Link]:
    """The links of a writer's rows, which come by table and in the order of their numbers; so do findings."""
    others = ((audit_admin, _admin), (audit_shadow, _shadow), (audit_dead_letter, _dead))
    return merge(
        _events(writer_id, rows.get(audit_event, iter(())), findings),
        *(map(partial(make, writer_id), rows.get(table, iter(()))) for table, make in others),
        key=itemgetter(0),
    )


def _events(writer_id: object, events: Rows, findings: Rows) -> Iterator[Link]:
    """The events with their findings, and findings without an event."""
    finding = next(findings, None)
    for row in events:
        seq, instant = number(row[0]), row[1]
        while finding is not None and number(finding[0]) < seq:
            yield _orphan(finding)
            finding = next(findings, None)
        own: list[Sequence[Any]] = []
        while finding is not None and finding[0] == row[0] and finding[1] == instant:
            if len(own) < MOST_FINDINGS:
                own.append(finding)
            finding = next(findings, None)
        yield _event(writer_id, seq, row, own)
    while finding is not None:
        yield _orphan(finding)
        finding = next(findings, None)


def _orphan(finding: Sequence[Any]) -> Link:
    return Link(number(finding[0]), "audit_finding", None, None, "a finding without its event")


def _event(writer_id: object, seq: int, row: Sequence[Any], findings: list[Sequence[Any]]) -> Link:
    subject = row[_EVENT_END:_SUBJECT_END]
    salt, commitment, chain = row[_SUBJECT_END:]
    is_erased = salt is None
    if is_erased:
        is_right = tuple(subject) == _NOBODY and type(commitment) is bytes
    else:
        is_right = type(salt) is type(commitment) is bytes and _commits(salt, subject, commitment)
    if not is_right:
        problem = "client_ip, client_user and path are not those of subject_commitment"
        return Link(seq, "audit_event", None, chain, "" if chain is None else problem)
    if findings:
        if [finding[2] for finding in findings] != list(range(1, len(findings) + 1)):
            return Link(seq, "audit_event", None, chain, "its findings are not numbered from 1 on")
        forms = [tuple(finding[3:]) for finding in findings]
        is_plain = all(map(_is_plain, forms))
    else:
        forms, is_plain = [], True
    values = row[2:_EVENT_END]
    form, occurred_at = None, microseconds(row[1])
    if is_plain and _is_plain(values):
        key = (writer_id, occurred_at, seq)
        form = _form(canonical.event_form_of_values, key, values, commitment, forms)
    problem = "" if form else _UNREADABLE
    count = len(findings)
    # By place: this is done for each row of a trail.
    return Link(seq, "audit_event", form, chain, problem, is_erased, False, False, occurred_at, count)


def _admin(writer_id: object, row: Sequence[Any]) -> Link:
    seq, instant, action, detail, chain = row
    form, occurred_at = None, microseconds(instant)
    if _is_plain((action, detail)):
        form = _form(canonical.admin_form, (writer_id, occurred_at, number(seq)), action, detail)
    problem = "" if form else _UNREADABLE
    is_end = action in (STOP, DIED)
    return Link(number(seq), "audit_admin", form, chain, problem, is_end=is_end, occurred_at=occurred_at)


def _shadow(writer_id: object, row: Sequence[Any]) -> Link:
    seq, instant, *values, chain = row
    form, occurred_at = None, microseconds(instant)
    if _is_plain(values):
        form = _form(canonical.shadow_form_of_values, (writer_id, occurred_at, number(seq)), values)
    problem = "" if form else _UNREADABLE
    return Link(number(seq), "audit_shadow", form, chain, problem, occurred_at=occurred_at)


def _dead(writer_id: object, row: Sequence[Any]) -> Link:
    """What the database had refused; its form is that of the row that it was to become."""
    seq, instant, kind, body, salt, commitment, chain = row
    key: Any = (writer_id, microseconds(instant), number(seq))
    form, is_erased = None, False
    try:
        match kind:
            case "event":
                record = _decode_event(body)
                is_nobody = salt is None and _subject_values(record) == _NOBODY
                is_erased = is_nobody and type(commitment) is bytes
                if is_erased or canonical.commitment_to(salt, record) == commitment:
                    form = canonical.event_form(key, record, commitment)
            case "admin":
                form = canonical.admin_form(key, *_decode_admin(body))
            case "shadow":
                form = canonical.shadow_form(key, _decode_shadow(body))
    except (msgspec.MsgspecError, TypeError, ValueError):
        form = None
    # That a row is kept here unreadable must not prove it, or every row could be hidden here.
    problem = "" if form else "the refused row can't be read, so nothing proves what it was"
    return Link(number(seq), "audit_dead_letter", form, chain, problem, is_erased, occurred_at=key[1])


_UNREADABLE = "a column holds what icapd does not write"


def _form(make: Callable[..., bytes], *arguments: object) -> bytes | None:
    try:
        return make(*arguments)
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError):
        # Surrogates, which stand for what is no UTF-8; numbers beyond 64 bits.
        return None


def _commits(salt: bytes, subject: Sequence[object], commitment: bytes) -> bool:
    if not _is_plain(subject):
        return False
    try:
        return canonical.commitment_to_values(salt, tuple(subject)) == commitment
    except ValueError:
        return False


def _is_plain(values: Iterable[object]) -> bool:
    return _PLAIN.issuperset(map(type, values))


def number(value: object) -> int:
    """A writer_seq; 0, which none is, for what is no number."""
    return value if type(value) is int else 0


def microseconds(value: object) -> int | None:
    """What a database has for an instant; None for what is none."""
    try:
        if isinstance(value, Decimal):
            return int(value)
        if isinstance(value, datetime):
            return instants.from_datetime(value)
        moment = datetime.fromisoformat(value)  # type: ignore[arg-type]
        # The same time in another spelling sorts elsewhere: questions about a time would miss the row.
        instant = instants.from_datetime(moment)
        return instant if instants.sqlite_text(instant) == value else None
    except (TypeError, ValueError, OverflowError):
        return None
