"""What a running server can be asked and told: the seam between the control plane and the supervisor."""

from dataclasses import dataclass
from typing import Literal, Protocol

#: `starting`: not yet told to take connections; `serving`; `draining`: only ends what it has; `failed`:
#: ended by itself, to be started again after a pause.
WorkerState = Literal["starting", "serving", "draining", "failed"]


@dataclass(frozen=True, slots=True)
class ReloadResult:
    """How a reload ended: all workers took the policy, or none did."""

    taken: bool
    #: Of the policy that is live now, whether it is the new one or the old.
    istag: str
    packs: tuple[str, ...]
    mode: str
    #: Why the new policy was refused, with file, place and remedy; "" when it was taken.
    problem: str = ""


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """One worker, or one place for a worker whose last process has failed."""

    pid: int
    state: WorkerState
    #: Connections that are open now.
    connections: int
    #: Of the policy that it serves.
    istag: str
    #: When the process was started, in seconds since 1970.
    since: float
    #: How often the process in this place died and was started again.
    restarts: int


class Supervision(Protocol):
    """A server with its workers, as the control plane sees it. Called on the supervisor's event loop."""

    async def reload(self) -> ReloadResult:
        """Read policy and certificates again; all workers take them, or none does.

        A bad policy is a result, not an exception. Calls that overlap are carried out one after the other.
        """

    async def restart(self) -> None:
        """Replace all processes; returns once the new ones serve. RestartError: the old ones serve on.

        It may also not return at all, when the process replaces itself: then its connections end.
        """

    async def metrics(self) -> str:
        """What all workers count together, as Prometheus text.

        Within half a second: of a worker that is too busy to tell, what it last told (MergedMetrics).
        """

    def status(self) -> list[WorkerStatus]:
        """All workers, in the order of their places."""

    def listeners(self) -> list[str]:
        """What is listened on, as shown to people: `icap 127.0.0.1:1344`, `icap /run/icapd/icap.sock`."""

    async def answers(self) -> bool:
        """Whether the workers react: asked for systemd's watchdog, which kills a server that does not."""

    def remarks(self) -> list[str]:
        """What a person should see to though traffic is served: lines for /readyz and `icapd status`."""

    def unready(self) -> str | None:
        """Why no traffic should come now; None when it may."""
