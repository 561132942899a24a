"""Addresses of databases: which are taken, and how the others are refused."""

import sys

import pytest

from icapd.audit.database import Database
from icapd.errors import AuditError


@pytest.mark.parametrize(
    ("database_url", "name"),
    [
        pytest.param("sqlite:////var/lib/icapd.db", "/var/lib/icapd.db", id="absolute-file"),
        pytest.param("sqlite:///var/icapd.db", "var/icapd.db", id="relative-file"),
        pytest.param("postgresql://u@h/d", "postgresql+psycopg://u@h/d", id="postgresql"),
        pytest.param("postgresql+psycopg2://u@h/d", "postgresql+psycopg://u@h/d", id="another-driver"),
        pytest.param("postgresql://u:hunter2@h/d", "postgresql+psycopg://u:***@h/d", id="password-hidden"),
        pytest.param("mysql://u:hunter2@h/d", "mariadb+pymysql://u:***@h/d", id="mariadb"),
    ],
)
def test_an_address_is_named_without_its_password(database_url: str, name: str) -> None:
    assert Database.parse(database_url).name == name


@pytest.mark.parametrize(
    ("database_url", "problem"),
    [
        pytest.param("", "is no database address; write sqlite:////", id="empty"),
        pytest.param("icapd.db", "is no database address; write sqlite:////", id="bare-file"),
        pytest.param("hunter2@host", "is no database address", id="no-scheme"),
        pytest.param("postgresql://u:hunter2@h:port/d", "is no database address", id="bad-port"),
        pytest.param("oracle://u:hunter2@h/d", "oracle is not supported; write sqlite:////", id="oracle"),
        pytest.param("hunter2://h/d", "is not supported", id="unknown-scheme"),
        pytest.param("sqlite://", "SQLite needs a file", id="sqlite-without-file"),
        pytest.param("sqlite:///:memory:", "SQLite needs a file", id="sqlite-in-memory"),
    ],
)
def test_a_bad_address_is_refused_without_being_repeated(database_url: str, problem: str) -> None:
    with pytest.raises(AuditError, match=r"^\[audit\] database_url") as refused:
        Database.parse(database_url)
    assert problem in str(refused.value)
    if "://u" in database_url:
        assert "hunter2" not in str(refused.value)


def test_a_server_that_does_not_answer_is_named_without_its_password() -> None:
    # Port 1 of loopback: nobody listens there.
    database = Database.parse("postgresql://u:hunter2@127.0.0.1:1/audit")
    with (
        pytest.raises(AuditError, match=r"127\.0\.0\.1:1/audit: .*see \[audit\] database_url") as refused,
        database.read(),
    ):
        pass
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(("kind", "driver"), [("postgresql", "psycopg"), ("mariadb", "pymysql")])
def test_a_missing_driver_is_named_with_what_installs_it(
    monkeypatch: pytest.MonkeyPatch, kind: str, driver: str
) -> None:
    monkeypatch.setitem(sys.modules, driver, None)
    with (
        pytest.raises(AuditError, match=rf"pip install 'icapd\[{kind}\]'"),
        Database.parse(f"{kind}://u@h/d").read(),
    ):
        pass
