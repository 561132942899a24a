"""icapd beside a site's own pyicap services, in the site's own server (docs/pyicap.md).

with Icapd.open("icapd.toml") as icapd:
    SiteServer(("", 1344), icapd.mount(SiteHandler)).serve_forever()
"""

import threading
from contextlib import suppress
from pathlib import Path
from ssl import SSLContext
from typing import Any, Self

from icapd.audit import AuditWriter, require_destination, reserve
from icapd.configuration import load_settings
from icapd.errors import AuditError, ConfigurationError
from icapd.server.engine import Peer
from icapd.server.equipment import Equipment
from icapd.server.listening.admission import Admission, Refusal
from icapd.server.pyicap_engine.compat import BaseICAPRequestHandler
from icapd.server.pyicap_engine.gate import Gate
from icapd.server.pyicap_engine.handler import METHODS, IcapdRequestHandler
from icapd.server.pyicap_engine.open_connections import OpenConnections
from icapd.server.session_context import SessionContext
from icapd.server.shadow import Shadow
from icapd.server.shipping import ShippingThread
from icapd.server.supervision.messages import Shipped
from icapd.server.telemetry.metrics import Metrics
from icapd.services.body_memory import BodyMemory
from icapd.services.configured import codec_limits
from icapd.settings import Settings


class Icapd:
    """Policy, audit trail and services, as icapd.toml has them, for handlers of a site's own server.

    Of [server], what concerns connections holds (access, limits, timeouts) for the whole of the site's
    server; what concerns listeners, processes and TLS is the site's own matter.
    """

    def __init__(self, settings: Settings) -> None:
        """Raises ConfigurationError and AuditError."""
        self.settings = settings.server
        self.metrics = Metrics()
        gate = Gate(settings.server.max_queue_delay)
        gate.report_to(self.metrics)
        self.open_connections = OpenConnections(gate)
        self._equipment = Equipment(settings)
        self._admission = Admission(settings.server, settings.server.max_connections)
        self.metrics.overloaded.set_function(lambda: self._admission.overloaded)
        self._admission_lock = threading.Lock()
        require_destination(settings.audit.database_url)
        outbox = Path(settings.audit.outbox)
        self._outbox_lock = reserve(outbox)
        # Of the room for outboxes half is for what servers before this one left.
        self._audit = AuditWriter.open(
            outbox,
            max_size=settings.audit.outbox_limit // 2,
            mode=settings.audit.mode,
            role="worker",
            patience=settings.audit.patience,
            coalesce_after=settings.audit.coalesce_after,
        )
        self._shipping = ShippingThread(settings.audit, self._look_after_trail)
        self._shadow = Shadow(self.metrics, self._audit, settings.policy.shadow_share)
        self._shadow.judge_by(self._equipment.in_force.candidate)
        self.context = SessionContext(
            catalogue=self._equipment.catalogue,
            audit=self._audit,
            blocks_unrecorded=settings.audit.fail_mode == "closed",
            codec_limits=codec_limits(settings),
            metrics=self.metrics,
            memory=BodyMemory(settings.limits.max_body_memory),
            is_overloaded=gate.is_overloaded,
            over=self._shadow.offer,
        )
        self.metrics.body_memory.set_function(lambda: self.context.memory.held)

    @classmethod
    def open(cls, config: str | Path | None = None) -> Self:
        """As the file says, and the `ICAPD_*` variables; None: all defaults.

        Raises ConfigurationError and AuditError, which name the file, the key and the remedy.
        """
        return cls(load_settings(None if config is None else Path(config)))

    def mount(self, handler: type[BaseICAPRequestHandler]) -> type[IcapdRequestHandler]:
        """The site's handler with /reqmod, /respmod and /stream served by icapd.

        For `BaseICAPRequestHandler` itself: icapd's services alone. Raises ConfigurationError when the site's
        services could not all be reached any more.
        """
        if handler.handle not in (BaseICAPRequestHandler.handle, IcapdRequestHandler.handle):
            raise ConfigurationError(
                f"{handler.__name__}.handle would never be called: icapd has to read first"
            )
        for path in self._equipment.catalogue().services:
            for method in METHODS:
                name = f"{path.strip('/')}_{method}"
                if hasattr(handler, name):
                    raise ConfigurationError(
                        f"{handler.__name__}.{name} would never be called: {path} is icapd's; rename it"
                    )
        if issubclass(handler, IcapdRequestHandler):
            bases: tuple[type, ...] = (handler,)
        elif handler is BaseICAPRequestHandler:
            bases = (IcapdRequestHandler,)
        else:
            bases = (IcapdRequestHandler, handler)
        return type(handler.__name__, bases, {"icapd": self})

    def reload(self) -> str:
        """Take changed rules, and return their ISTag; PolicyError says what is wrong, and the old ones stay.

        Requests under way keep the rules that they began with.
        """
        prepared = self._equipment.prepare()
        self._equipment.put_in_force(prepared)
        self._shadow.judge_by(prepared.candidate)
        return prepared.policy.istag

    def close(self) -> None:
        """Let requests under way end for up to `shutdown_timeout`, cut the rest, close the audit trail.

        To be called once the site's server accepts no more; once is enough, and more does no harm.
        """
        self.open_connections.end_all(self.settings.shutdown_timeout)
        self._shadow.close()
        self._audit.close()
        self._shipping.stop()
        self._outbox_lock.close()

    def _look_after_trail(self, _: Shipped) -> None:
        # No supervisor asks for it, and what was counted must not wait for another message.
        with suppress(AuditError):
            self._audit.check_writable()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- for the handlers, in their threads

    def arrive(self, address: Any) -> tuple[Peer, SSLContext | None] | None:
        """Who has connected, by [server] allow_from and the limits; `address`: as the socket tells it."""
        host = address[0] if isinstance(address, tuple) else ""
        with self._admission_lock:
            if self._admission.is_full:
                return None
            peer = self._admission.arrive(host)
        if isinstance(peer, Refusal):
            self.metrics.refused.inc()
            return None
        self.open_connections.begin()
        return peer, None

    def leave(self, peer: Peer) -> None:
        """A connection has ended."""
        with self._admission_lock:
            self._admission.leave(peer)

    def handshake_failed(self, peer: Peer, error: OSError) -> None:
        """Never called: TLS is the site's own matter."""
