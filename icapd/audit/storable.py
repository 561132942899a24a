"""Makes a record fit for any database: nothing on the wire can keep its own record from being written.

Whoever sends a NUL byte, a lone surrogate or a megabyte of host name is just the one whose record matters.
The limits are those of the columns (`tables`). They hold for SQLite too, which would not mind them: its rows
are to go into PostgreSQL, which does.
"""

from dataclasses import fields, replace
from typing import Any, Generic, TypeVar

from sqlalchemy import BigInteger, Integer, String, Table

from icapd.audit.record import AuditRecord, FindingRecord
from icapd.audit.tables import audit_event, audit_finding

_Record = TypeVar("_Record", AuditRecord, FindingRecord)

#: PostgreSQL's text can't hold NUL, and UTF-8 has no form for a surrogate.
_UNSTORABLE = dict.fromkeys([0, *range(0xD800, 0xE000)], "\N{REPLACEMENT CHARACTER}")
#: The last character of a text that was cut.
_ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"


def storable(record: AuditRecord) -> AuditRecord:
    """The same record with every text cleaned and cut to its column, and every number within its column."""
    if record.findings:
        findings = tuple(map(_FINDING.fit, record.findings))
        if findings != record.findings:
            record = replace(record, findings=findings)
    return _EVENT.fit(record)


def fit_text(text: str, limit: int) -> str:
    """At most `limit` characters that every database takes; a text that was cut ends in an ellipsis."""
    if len(text) > limit:
        text = text[: limit - 1] + _ELLIPSIS
    return text.translate(_UNSTORABLE)


def fit_number(number: int, largest: int) -> int:
    """The number, or what is nearest to it from 0 to `largest`."""
    return min(max(number, 0), largest)


class _Columns(Generic[_Record]):
    """What the columns of a table ask of the fields of their names.

    Nearly every record fits as it is, and its verdict waits: so fitting is first a look, and work only then.
    """

    def __init__(self, record_type: type[_Record], table: Table) -> None:
        names = [field.name for field in fields(record_type) if field.name in table.c]
        types = {name: table.c[name].type for name in names}
        #: Text field -> most characters.
        self._texts = {name: type_.length or 0 for name, type_ in types.items() if isinstance(type_, String)}
        #: Number field -> largest number.
        self._numbers = {name: _largest(type_) for name, type_ in types.items() if isinstance(type_, Integer)}

    def fit(self, record: _Record) -> _Record:
        if self._surely_fits(record):
            return record
        changes: dict[str, Any] = {}
        for name, limit in self._texts.items():
            if (text := getattr(record, name)) is not None:
                changes[name] = fit_text(text, limit)
        for name, largest in self._numbers.items():
            if (number := getattr(record, name)) is not None:
                changes[name] = fit_number(number, largest)
        return replace(record, **changes)

    def _surely_fits(self, record: _Record) -> bool:
        """False as well for a text with characters beyond ASCII, which `fit_text` has to look at."""
        for name, limit in self._texts.items():
            text = getattr(record, name)
            if text is not None and (len(text) > limit or not text.isascii() or "\0" in text):
                return False
        for name, largest in self._numbers.items():
            number = getattr(record, name)
            if number is not None and not 0 <= number <= largest:
                return False
        return True


def _largest(type_: Integer) -> int:
    return 2**63 - 1 if isinstance(type_, BigInteger) else 2**31 - 1


_EVENT = _Columns(AuditRecord, audit_event)
_FINDING = _Columns(FindingRecord, audit_finding)
