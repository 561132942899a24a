"""The rows of a writer, from all tables, as the links of its chain: canonical forms made again from columns.

Whatever stands in a column counts, also what icapd would never have written: then there is no form, and a
problem in its place. Rows are streamed in the order of their numbers, a few at a time.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from heapq import merge
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Select,
    String,
    Table,
    extract,
    func,
    select,
    type_coerce,
)

from icapd.audit import canonical, instants
from icapd.audit.outbox.adoption import DIED, STOP
from icapd.audit.record import AuditRecord
from icapd.audit.shadow import ShadowRecord
from icapd.audit.tables import (
    NUMBERED,
    audit_admin,
    audit_dead_letter,
    audit_event,
    audit_finding,
    audit_shadow,
)
from icapd.settings import MOST_FINDINGS

#: The lowest number that a column can hold, though none is below 1.
LOWEST = -(2**63)
#: Rows fetched at a time.
_BATCH = 1000

#: Of values that a canonical form has as they are.
_PLAIN = frozenset({int, str, type(None)})

_EVENT_END = 2 + len(canonical.EVENT)
_SUBJECT_END = _EVENT_END + len(canonical.SUBJECT)
_NOBODY = (None,) * len(canonical.SUBJECT)

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


class Reader:
    """Reads from one connection, which sees one state of the database all along."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect = connection.dialect.name
        # MariaDB's driver can't stream several results at once: there they are fetched whole.
        can_stream = self._dialect in ("sqlite", "postgresql")
        self._options: dict[str, Any] = {"yield_per": _BATCH} if can_stream else {}
        if self._dialect == "sqlite":
            # SQLite takes what is no UTF-8, too, and its driver would end at that.
            driver_connection: Any = connection.connection.driver_connection
            driver_connection.text_factory = partial(str, encoding="utf-8", errors="surrogateescape")

    def links(self, writer_id: object, first: int, last: int | None) -> Iterator[Link]:
        """The writer's rows from number `first` to `last` (None: to its end), in their order."""

        def rows(table: Table, *names: str, then: str = "occurred_at") -> Iterator[Sequence[Any]]:
            key = table.c.writer_seq
            columns = [key, self.instant(table.c.occurred_at), *(table.c[name] for name in names)]
            statement = select(*columns).where(table.c.writer_id == writer_id, key >= first)
            if last is not None:
                statement = statement.where(key <= last)
            return self.stream(statement.order_by(key, table.c[then]))

        events = rows(
            audit_event,
            *canonical.EVENT,
            *canonical.SUBJECT,
            *("subject_salt", "subject_commitment", "chain"),
        )
        findings = rows(audit_finding, "item_no", *canonical.FINDING, then="item_no")
        admin = rows(audit_admin, "action", "detail", "chain")
        shadow = rows(audit_shadow, *canonical.SHADOW, "chain")
        dead = rows(audit_dead_letter, "kind", "body", "salt", "commitment", "chain")
        return merge(
            _events(writer_id, events, findings),
            (_admin(writer_id, row) for row in admin),
            (_shadow(writer_id, row) for row in shadow),
            (_dead(writer_id, row) for row in dead),
            key=itemgetter(0),
        )

    def stream(self, statement: Select[Any]) -> Iterator[Sequence[Any]]:
        """The rows that it finds, in constant memory."""
        return iter(self._connection.execute(statement, execution_options=self._options))

    def bounds(self, writer_id: object, since: int | None, until: int | None) -> tuple[int, int] | None:
        """The lowest and the highest number of the writer's rows of that time; None when there is none."""
        lowest, highest = [], []
        for table in NUMBERED:
            statement = select(func.min(table.c.writer_seq), func.max(table.c.writer_seq))
            statement = statement.where(table.c.writer_id == writer_id)
            if since is not None:
                statement = statement.where(table.c.occurred_at >= since)
            if until is not None:
                statement = statement.where(table.c.occurred_at < until)
            found = self._connection.execute(statement).one()
            if type(found[0]) is int and type(found[1]) is int:
                lowest.append(found[0])
                highest.append(found[1])
        return (min(lowest), max(highest)) if lowest else None

    def instant(self, column: Column[Any]) -> ColumnElement[Any]:
        """What `microseconds` reads: not what would be made of it, which might not work."""
        if self._dialect == "postgresql":
            # Also for `infinity`, which has no datetime.
            return type_coerce(extract("epoch", column) * 1_000_000, String)
        return type_coerce(column, String)


def _events(
    writer_id: object, events: Iterator[Sequence[Any]], findings: Iterator[Sequence[Any]]
) -> Iterator[Link]:
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
    form = None
    if is_plain and _is_plain(values):
        key = (writer_id, microseconds(row[1]), seq)
        form = _form(canonical.event_form_of_values, key, values, commitment, forms)
    return Link(seq, "audit_event", form, chain, "" if form else _UNREADABLE, is_erased)


def _admin(writer_id: object, row: Sequence[Any]) -> Link:
    seq, instant, action, detail, chain = row
    form = None
    if _is_plain((action, detail)):
        form = _form(canonical.admin_form, (writer_id, microseconds(instant), number(seq)), action, detail)
    problem = "" if form else _UNREADABLE
    return Link(number(seq), "audit_admin", form, chain, problem, is_end=action in (STOP, DIED))


def _shadow(writer_id: object, row: Sequence[Any]) -> Link:
    seq, instant, *values, chain = row
    form = None
    if _is_plain(values):
        key = (writer_id, microseconds(instant), number(seq))
        form = _form(canonical.shadow_form_of_values, key, values)
    return Link(number(seq), "audit_shadow", form, chain, "" if form else _UNREADABLE)


def _dead(writer_id: object, row: Sequence[Any]) -> Link:
    """What the database had refused; its form is that of the row that it was to become."""
    seq, instant, kind, body, salt, commitment, chain = row
    key: Any = (writer_id, microseconds(instant), number(seq))
    form = None
    try:
        match kind:
            case "event":
                record = _decode_event(body)
                if canonical.commitment_to(salt, record) == commitment:
                    form = canonical.event_form(key, record, commitment)
            case "admin":
                form = canonical.admin_form(key, *_decode_admin(body))
            case "shadow":
                form = canonical.shadow_form(key, _decode_shadow(body))
    except (msgspec.MsgspecError, TypeError, ValueError):
        form = None
    # That a row is kept here unreadable must not prove it, or every row could be hidden here.
    problem = "" if form else "the refused row can't be read, so nothing proves what it was"
    return Link(number(seq), "audit_dead_letter", form, chain, problem)


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
