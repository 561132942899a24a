"""Messages without a row: the counts are exact, whatever fails in between, and on record in time."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from audit_records import make_record
from hypothesis import given
from hypothesis import strategies as st
from support.trail import Trail

from icapd.audit import AuditWriter
from icapd.audit.outbox.omitted import INTERVAL, Omitted
from icapd.errors import AuditError


@pytest.fixture
def trail(tmp_path: Path) -> Trail:
    return Trail.make(tmp_path)


def noted(trail: Trail) -> list[dict[str, Any]]:
    """The rows, in their order."""
    trail.ship()
    rows = trail.rows("SELECT detail FROM audit_admin WHERE action = 'not-recorded' ORDER BY writer_seq")
    return [json.loads(detail) for (detail,) in rows]


def make_due(writer: AuditWriter) -> None:
    writer._omitted._due_at = 0.0


def test_the_stop_notes_what_was_counted_before_it(trail: Trail) -> None:
    with trail.writer() as writer:
        for scope in ("", "bank", "bank"):
            writer.count_omitted(scope)
    assert [(note["scope"], note["messages"]) for note in noted(trail)] == [("", 1), ("bank", 2)]
    actions = trail.rows("SELECT action FROM audit_admin ORDER BY writer_seq")
    assert [action for (action,) in actions] == ["start", "not-recorded", "not-recorded", "stop"]
    assert trail.verify().exit_code(strict=True) == 0


def test_nothing_counted_is_no_row(trail: Trail) -> None:
    with trail.writer() as writer:
        writer.check_writable()
    assert noted(trail) == []


def test_a_count_is_noted_once_it_is_due_and_goes_on_from_there(trail: Trail) -> None:
    with trail.writer() as writer:
        writer.count_omitted("")
        writer.write(make_record())
        assert noted(trail) == []
        make_due(writer)
        # Which a server asks each second.
        writer.check_writable()
        (first,) = noted(trail)
        writer.count_omitted("")
        writer.check_writable()
        assert noted(trail) == [first]
    assert [note["messages"] for note in noted(trail)] == [1, 1]
    assert noted(trail)[1]["since"] >= first["until"]


def test_a_count_that_can_not_be_noted_waits(trail: Trail) -> None:
    with trail.writer() as writer:
        writer.count_omitted("")
        make_due(writer)
        aside = writer.file.rename(writer.file.with_suffix(".aside"))
        with pytest.raises(AuditError):
            writer.check_writable()
        aside.rename(writer.file)
        writer.count_omitted("")
    assert [note["messages"] for note in noted(trail)] == [2]


def test_without_records_nothing_is_counted(trail: Trail) -> None:
    with trail.writer(mode="off") as writer:
        writer.count_omitted("")
    assert noted(trail) == []


@given(st.lists(st.sampled_from(["a", "b", "note", "lose"]), max_size=50))
def test_no_message_is_counted_twice_or_not_at_all(steps: list[str]) -> None:
    """`note`: the counts are written; `lose`: their commit fails."""
    omitted, told, added = Omitted(interval=0.0), {"a": 0, "b": 0}, {"a": 0, "b": 0}
    for step in [*steps, "note"]:
        if step in added:
            omitted.add(step, 1)
            added[step] += 1
            continue
        counts = omitted.due(last=True)
        if step == "note":
            for count in counts:
                told[count.scope] += count.messages
            omitted.noted(counts, 2)
    assert told == added


def test_what_is_added_while_counts_are_written_is_counted_from_then_on() -> None:
    omitted = Omitted()
    omitted.add("", 1)
    assert omitted.due() == ()
    counts = omitted.due(last=True)
    adding = threading.Thread(target=omitted.add, args=("", 2))
    adding.start()
    adding.join()
    omitted.noted(counts, 3)
    (rest,) = omitted.due(last=True)
    assert (rest.messages, rest.since) == (1, 3)
    assert rest.detail(4) == {"scope": "", "messages": 1, "since": 3, "until": 4}
    assert INTERVAL <= 60, "what docs/audit.md says that is lost at most"
