"""The only place with sockets, clocks and signals.

- `session`: one ICAP connection without its socket; `turns` and `asyncio_engine` carry the bytes of many.
- `pyicap_engine/`: the second engine, a thread for each connection, also beside a site's own pyicap services.
- `worker`: policy, audit trail, services and an engine (`equipment`, `fingerprint_keys`) in one process.
- `shipping`: the process that brings audit records to the database; `upkeep` has what it does besides.
- `listening/`: sockets and TLS, who may connect, and which worker serves whom.
- `supervision/`: the parent of them all: it keeps them alive, reloads, and replaces itself.
- `control/`: what a running server can be asked, over its control socket and its status pages.
- `telemetry/`: metrics and the log.
"""
