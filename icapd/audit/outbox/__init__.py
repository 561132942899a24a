"""Outboxes: what workers have committed to the local disk, until it is in the database.

`directory` (whose file is whose, how far it is shipped) -> `file` (one outbox) -> `appender` (numbers, and
the chain) -> `writer` (a worker's side; `commit` has how long it waits, `floods` and `omitted` what is
counted, `cuts` what ended for want of a record, `remarks` what it tells of itself), `adoption` (of a dead
worker's). The other side is `icapd.audit.shipping`.
"""
