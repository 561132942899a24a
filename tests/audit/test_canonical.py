"""What the chain is made of: the same bytes from a record as from its row, and from nothing else."""

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
from audit_records import FINDING, NOON, make_record
from hypothesis import given
from hypothesis import strategies as st

from icapd.audit import canonical
from icapd.audit.storable import storable
from icapd.audit.tables import audit_event, audit_finding, audit_shadow

KEY = (7, NOON, 3)
RECORD = make_record(findings=(FINDING,), client_user="\N{LATIN SMALL LETTER A WITH DIAERESIS}", repeats=2)


def test_the_form_is_the_documented_one() -> None:
    form = json.loads(canonical.event_form(KEY, RECORD, b"\x01" * 32))
    assert form[:4] == ["audit_event", *KEY]
    assert form[-1] == [list(vars_of(FINDING, canonical.FINDING))]
    assert form[-2] == "01" * 32
    assert form[4:-2] == [getattr(RECORD, name) for name in canonical.EVENT]
    assert canonical.admin_form(KEY, "stop", "{}") == f'["audit_admin",7,{NOON},3,"stop","{{}}"]'.encode()


def vars_of(value: object, names: tuple[str, ...]) -> list[object]:
    return [getattr(value, name) for name in names]


def test_every_column_is_in_a_form_or_has_a_reason_not_to_be() -> None:
    key = {"writer_id", "occurred_at", "writer_seq"}
    proof = {"subject_salt", "subject_commitment", "chain", "recorded_at"}
    assert {*canonical.EVENT, *canonical.SUBJECT} == set(audit_event.c.keys()) - key - proof
    assert set(canonical.FINDING) == set(audit_finding.c.keys()) - key - {"item_no"}
    assert set(canonical.SHADOW) == set(audit_shadow.c.keys()) - key - {"chain"}


@pytest.mark.parametrize("name", [*canonical.EVENT, "findings"])
def test_every_change_changes_the_form(name: str) -> None:
    old = getattr(RECORD, name)
    new: Any = (
        (FINDING, FINDING) if name == "findings" else 404 if isinstance(old, int) or old is None else "x"
    )
    assert canonical.event_form(KEY, replace(RECORD, **{name: new}), b"") != canonical.event_form(
        KEY, RECORD, b""
    )


@given(
    st.text(st.characters(exclude_categories=("Cs",)), max_size=20),
    st.none() | st.text(st.characters(exclude_categories=("Cs",)), max_size=20),
)
def test_who_it_is_about_is_bound_by_the_commitment_alone(user: str, path: str | None) -> None:
    record = storable(replace(RECORD, client_user=user, path=path))
    plain = replace(record, client_user=None, path=None, client_ip=None)
    assert canonical.event_form(KEY, record, b"c") == canonical.event_form(KEY, plain, b"c")
    salt = b"s" * canonical.SALT_SIZE
    subject = json.dumps(
        [record.client_ip, record.client_user, record.path], separators=(",", ":"), ensure_ascii=False
    )
    expected = hashlib.sha256(salt + subject.encode()).digest()
    # Python's own JSON writes U+007F and such as they are, and so does msgspec.
    assert canonical.commitment_to(salt, record) == expected
    assert canonical.commitment_to(salt, record) != canonical.commitment_to(b"t" * 16, record)


def test_the_chain_depends_on_all_before() -> None:
    one = canonical.next_link(canonical.BEGINNING, b"a")
    assert one == hashlib.sha256(b"\0" + bytes(32) + b"a").digest()
    assert canonical.next_link(one, b"b") != canonical.next_link(canonical.BEGINNING, b"b")


def test_a_record_of_defaults_has_no_floats_and_no_bytes() -> None:
    def plain(value: object) -> bool:
        if isinstance(value, list):
            return all(map(plain, value))
        return value is None or type(value) in (int, str)

    assert plain(json.loads(canonical.event_form(KEY, make_record(), b"")))
