"""The revisions of the audit tables, for Alembic; installed as the package icapd.migrations.

`icapd db upgrade` runs them. A new one, after icapd/audit/tables.py was changed:

    alembic -x url=sqlite:///scratch.db revision --autogenerate --rev-id 0002 -m "what it brings"

then raise HEAD in icapd/audit/schema.py. Revisions are numbered, in one line, and never changed once
released.
"""
