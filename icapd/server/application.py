"""The server put together: policy, audit trail, services, engine, status pages, signals."""

import asyncio
import gc
import signal
from pathlib import Path

import structlog
import uvloop

from icapd import audit
from icapd.errors import AuditError, PolicyError
from icapd.inspection import Fingerprinter
from icapd.policy import Policy, PolicyStore
from icapd.server.asyncio_engine import AsyncioEngine
from icapd.server.fingerprint_key import load_or_create_key
from icapd.server.metrics import Metrics
from icapd.server.session import SessionContext
from icapd.server.status_http import StatusServer
from icapd.services.body_memory import BodyMemory
from icapd.services.catalogue import Catalogue, make_catalogue
from icapd.services.configured import codec_limits, inspection_limits, rules_directory, service_options
from icapd.settings import Settings, split_address

log = structlog.get_logger()


class Application:
    """One serving process, from its settings to its end."""

    def __init__(self, settings: Settings) -> None:
        """Loads all that can be wrong before a port is opened. Raises ConfigurationError and AuditError."""
        self._settings = settings
        self._store = PolicyStore(rules_directory(settings))
        self._fingerprinter = Fingerprinter(load_or_create_key(Path(settings.audit.fingerprint_key)))
        self._catalogue = self._make_catalogue(self._store.current())
        self._metrics = Metrics()
        self._memory = BodyMemory(settings.limits.max_body_memory)
        self._stopping = False
        self._audit = audit.AuditWriter.open(
            settings.audit.database_url, synchronous=settings.audit.synchronous
        )

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT. Raises ConfigurationError when a port can't be had."""
        # Rules and modules stay for good: the collector need not look at them again and again.
        gc.collect()
        gc.freeze()
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve())
        finally:
            self._audit.close()

    async def _serve(self) -> None:
        stop = asyncio.Event()
        engine = AsyncioEngine(self._session_context(), self._settings.server)
        status = self._status_server()
        host, port = await engine.start()
        if status is not None:
            status.start()
        loop = asyncio.get_running_loop()
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signal_number, stop.set)
        reloads: set[asyncio.Task[None]] = set()
        loop.add_signal_handler(signal.SIGHUP, self._begin_reload, reloads)
        policy = self._catalogue.policy
        log.info(
            "ready",
            icap=f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
            packs=list(policy.packs),
            mode=policy.mode,
            istag=policy.istag,
        )
        await stop.wait()
        log.info("stopping")
        self._stopping = True
        await engine.stop()
        if status is not None:
            status.stop()

    def _begin_reload(self, reloads: set[asyncio.Task[None]]) -> None:
        task = asyncio.get_running_loop().create_task(self._reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    async def _reload(self) -> None:
        """Take a changed policy; requests under way keep theirs, and a broken one changes nothing."""
        try:
            policy = await asyncio.to_thread(self._store.reload)
        except PolicyError as error:
            self._metrics.reloads.labels("refused").inc()
            log.error("reload-refused", problem=str(error), still=self._catalogue.policy.istag)
            return
        self._catalogue = self._make_catalogue(policy)
        self._metrics.reloads.labels("taken").inc()
        log.info("reloaded", packs=list(policy.packs), mode=policy.mode, istag=policy.istag)

    def _make_catalogue(self, policy: Policy) -> Catalogue:
        limits, options = inspection_limits(self._settings), service_options(self._settings)
        return make_catalogue(policy, self._fingerprinter, limits, options)

    def _current_catalogue(self) -> Catalogue:
        return self._catalogue

    def _session_context(self) -> SessionContext:
        return SessionContext(
            catalogue=self._current_catalogue,
            audit=self._audit,
            blocks_unrecorded=self._settings.audit.fail_mode == "closed",
            codec_limits=codec_limits(self._settings),
            metrics=self._metrics,
            memory=self._memory,
        )

    def _status_server(self) -> StatusServer | None:
        address = split_address(self._settings.server.http_listen)
        return StatusServer(address, self._metrics.registry, self._unready) if address else None

    def _unready(self) -> str | None:
        """Why no traffic should come here now."""
        if self._stopping:
            return "stopping"
        try:
            self._audit.check_writable()
        except AuditError as error:
            return str(error)
        return None
