"""Databases with the audit tables, without waiting for all revisions each time: they are copied."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import psycopg
import pymysql
from sqlalchemy import make_url

from icapd.audit import migrations
from icapd.audit.database import Database

#: The database on a server that the tables are copied from.
_TABLES = "icapd_tables"


def make_tables(url: str) -> None:
    """What `icapd db upgrade` makes; on a server the database is there and empty."""
    file = Database.parse(url).file
    if file is not None:
        make_sqlite(file)
    else:
        copy(_upgraded_on(server_of(url)), url)


def make_sqlite(file: Path) -> None:
    """The same in a file."""
    file.touch(0o600)
    file.write_bytes(_upgraded())


def copy(source: str, target: str) -> None:
    """Everything in a database that nobody uses, to an empty one of the same server, or to a new file."""
    name, other = make_url(source).database, make_url(target).database
    assert name and other
    if not server_of(source):
        shutil.copyfile(name, other)
        Path(other).chmod(0o600)
        return
    with administering(target) as run:
        if make_url(source).get_backend_name() == "postgresql":
            run(f"DROP DATABASE {other}")
            run(f"CREATE DATABASE {other} TEMPLATE {name}")
        else:
            _copy_in_mariadb(run, name, other)


def server_of(url: str) -> str:
    """The address without its database; "" for a SQLite file."""
    parsed = make_url(url)
    return "" if parsed.get_backend_name() == "sqlite" else str(parsed.set(database=""))


def make_beside(server: str, name: str) -> str:
    """The address of a new and empty database on a server, which lasts as long as that does."""
    with administering(server) as run:
        run(f"CREATE DATABASE {name}")
    return str(make_url(server).set(database=name))


@contextmanager
def administering(url: str) -> Iterator[Callable[[str], list[Any]]]:
    """Runs statements on a server of the tests, by who may do anything; they return rows, if any."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "postgresql":
        with psycopg.connect(str(parsed.set(database="postgres")), autocommit=True) as connection:
            yield partial(_run, connection.cursor())
    else:
        socket = str(parsed.query["unix_socket"])
        with closing(pymysql.connect(unix_socket=socket, user="root", autocommit=True)) as mariadb:
            yield partial(_run, mariadb.cursor())


def _run(cursor: Any, statement: str) -> list[Any]:
    cursor.execute(statement)
    return list(cursor.fetchall()) if cursor.description else []


def _copy_in_mariadb(run: Callable[[str], list[Any]], source: str, target: str) -> None:
    views = {}
    for name, kind in run(f"SHOW FULL TABLES IN {source}"):
        if kind == "VIEW":
            views[name] = run(f"SHOW CREATE VIEW {source}.{name}")[0][1]
        else:
            run(f"CREATE TABLE {target}.{name} LIKE {source}.{name}")
            run(f"INSERT INTO {target}.{name} SELECT * FROM {source}.{name}")
    while views:
        # A view of views comes after them.
        name = next(
            one for one in views if not any(f"`{other}`" in views[one] for other in views if other != one)
        )
        run(views.pop(name).replace(f"`{source}`.", f"`{target}`."))


@cache
def _upgraded() -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "icapd.db"
        migrations.upgrade(f"sqlite:///{file}")
        return file.read_bytes()


@cache
def _upgraded_on(server: str) -> str:
    url = make_beside(server, _TABLES)
    migrations.upgrade(url)
    return url
