"""Roles of a PostgreSQL, so that each program may do no more than its work with the audit tables.

The roles can't log in: a site makes those that can, with passwords of its own, and makes them members.
"""

from collections.abc import Iterator

from icapd.audit.partitions import TABLES
from icapd.audit.schema import VERSION_TABLE
from icapd.audit.tables import (
    VIEWS,
    audit_archive,
    audit_checkpoint,
    audit_dead_letter,
    audit_hold,
    audit_purge,
    audit_shipment,
    metadata,
)

#: Who ships, who reads, and who owns the rows: drops, erases, and makes partitions.
INGEST, READ, RETENTION = "icapd_ingest", "icapd_read", "icapd_retention"
#: Tables that only retention writes to.
_OF_RETENTION = (audit_purge.name, audit_archive.name, audit_hold.name)

_HEAD = f"""\
-- Roles for icapd's audit tables. Run it as the owner of the tables, or as a superuser, and again after each
-- `icapd db upgrade`:  icapd db roles | psql --set ON_ERROR_STOP=1 DATABASE
BEGIN;
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['{INGEST}', '{READ}', '{RETENTION}'] LOOP
        IF to_regrole(name) IS NULL THEN
            EXECUTE format('CREATE ROLE %I', name);
        END IF;
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), name);
    END LOOP;
    -- Whoever upgrades stays an owner, by way of this role. A superuser is one anyway.
    IF NOT pg_has_role(current_user, '{RETENTION}', 'USAGE') THEN
        GRANT {RETENTION} TO CURRENT_USER;
    END IF;
    EXECUTE format('GRANT CREATE ON SCHEMA %I TO {RETENTION}', current_schema());
    -- To drop a partition is its owner's right, and no other can be given it.
    FOREACH name IN ARRAY ARRAY[{", ".join(f"'{table}'" for table in TABLES)}] LOOP
        FOR name IN SELECT relid::text FROM pg_partition_tree(name::regclass) LOOP
            EXECUTE format('ALTER TABLE %s OWNER TO {RETENTION}', name);
        END LOOP;
    END LOOP;
END $$;
"""


def sql() -> str:
    """A script that makes the roles and gives them their rights; it can be run again."""
    return _HEAD + "".join(f"{statement};\n" for statement in _rights()) + "COMMIT;\n"


def _rights() -> Iterator[str]:
    names = [table.name for table in metadata.sorted_tables]
    everything = ", ".join([*names, VERSION_TABLE])
    yield f"REVOKE ALL ON {everything} FROM PUBLIC, {INGEST}, {READ}"
    yield f"GRANT SELECT ON {everything} TO {READ}, {RETENTION}"
    yield f"GRANT SELECT ON {', '.join(sorted(VIEWS))} TO {READ}, {RETENTION}"
    # The next checkpoint of a writer speaks for the one before.
    yield f"GRANT SELECT ON {VERSION_TABLE}, {audit_shipment}, {audit_checkpoint} TO {INGEST}"
    shipped = ", ".join(name for name in names if name not in _OF_RETENTION)
    yield f"GRANT INSERT ON {shipped} TO {INGEST}"
    # How far each writer has come: no row of the trail.
    yield f"GRANT UPDATE ON {audit_shipment} TO {INGEST}"
    # Holds are released, and what states an archive stays.
    lasting = *TABLES, audit_hold.name, audit_archive.name
    yield f"REVOKE DELETE ON {audit_hold}, {audit_archive} FROM {RETENTION}"
    yield f"GRANT DELETE ON {', '.join(name for name in names if name not in lasting)} TO {RETENTION}"
    yield f"GRANT INSERT ON {', '.join(_OF_RETENTION)} TO {RETENTION}"
    # To release a hold; to erase a person in what was refused.
    yield f"GRANT UPDATE ON {audit_hold}, {audit_dead_letter} TO {RETENTION}"
    # Whether they hold anything, which the shipper tells of.
    defaults = ", ".join(f"{table}_default" for table in TABLES)
    yield f"GRANT SELECT (occurred_at) ON {defaults} TO {INGEST}, {READ}"
