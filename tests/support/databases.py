"""SQLite files with the audit tables, without waiting for all revisions each time."""

import tempfile
from functools import cache
from pathlib import Path

from icapd.audit import migrations


def make_sqlite(file: Path) -> None:
    """What `icapd db upgrade` makes."""
    file.touch(0o600)
    file.write_bytes(_upgraded())


@cache
def _upgraded() -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "icapd.db"
        migrations.upgrade(f"sqlite:///{file}")
        return file.read_bytes()
