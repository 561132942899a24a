"""Outboxes: what workers have committed to the local disk, until it is in the database.

`directory` (whose file is whose, how far it is shipped) -> `file` (one outbox) -> `writer` (a worker's side;
`gaps` has what it tells of itself). The other side is `icapd.audit.shipping`.
"""
