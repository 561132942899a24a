"""What the supervisor and its workers say to each other."""

import msgspec

from icapd.audit.storable import fit_text
from icapd.server.engine import Peer
from icapd.server.supervision.policy_state import PolicyState
from icapd.settings import Settings

#: Characters of a problem: it may quote a file, and a message that is too long never arrives (channel.py).
#: Each takes up to six bytes in JSON.
MAX_PROBLEM = 8000


def told(error: Exception) -> str:
    """What an error says, as a message can carry it."""
    return fit_text(str(error), MAX_PROBLEM)


class _Message(msgspec.Struct, frozen=True, tag=True):
    """One message; its tag is the name of its class."""


class Start(_Message, frozen=True):
    """The first message to a worker."""

    settings: Settings
    log_format: str


class Take(_Message, frozen=True):
    """Serve a connection, whose socket comes with this."""

    peer: Peer
    tls: bool


class Prepare(_Message, frozen=True):
    """Load policy and certificates anew, and keep them ready."""

    number: int


class Commit(_Message, frozen=True):
    """Put in force what was prepared."""

    number: int


class Tell(_Message, frozen=True):
    """Say how you are, and what you count if that is wanted."""

    number: int
    metrics: bool


class Note(_Message, frozen=True):
    """Keep in the audit trail what was done to the policy."""

    action: str
    detail: dict[str, str]


class Drain(_Message, frozen=True):
    """End within `timeout` seconds; `retire`: idle connections may wait for their last request until then."""

    timeout: float
    retire: bool


class Started(_Message, frozen=True):
    """The worker can take connections."""

    istag: str
    packs: tuple[str, ...]
    mode: str
    state: PolicyState = PolicyState()


class NotStarted(_Message, frozen=True):
    """The worker ends, because something is wrong that a person must mend."""

    problem: str
    exit_code: int


class Ended(_Message, frozen=True):
    """A connection has ended."""

    peer: Peer


class Prepared(_Message, frozen=True):
    """What `Prepare` asked for is ready, or why not."""

    number: int
    problem: str
    istag: str = ""
    packs: tuple[str, ...] = ()
    mode: str = ""
    state: PolicyState = PolicyState()


class Committed(_Message, frozen=True):
    """The policy is in force."""

    number: int


class Report(_Message, frozen=True):
    """How the worker is. Its metrics, if wanted, are the file that comes with this."""

    number: int
    #: Why it can write no audit records; "" when it can.
    unwritable: str


class Shipped(_Message, frozen=True):
    """How far the shipping of audit records is."""

    #: Entries brought to the database since it last said so.
    shipped: int = 0
    #: Entries that are not there yet.
    backlog: int = 0
    #: When the oldest of them occurred, in seconds since 1970; 0 when there is none.
    oldest: float = 0.0
    #: Bytes of the outboxes.
    size: int = 0
    #: When the newest checkpoint was signed, in seconds since 1970; 0 when none was.
    checkpointed: float = 0.0
    #: Entries that the database refused since it last said so.
    dead_letters: int = 0
    #: Why entries don't get there; "" when they do.
    problem: str = ""


Message = (
    Start
    | Take
    | Prepare
    | Commit
    | Tell
    | Note
    | Drain
    | Started
    | NotStarted
    | Ended
    | Prepared
    | Committed
    | Report
    | Shipped
)
Reply = Prepared | Committed | Report
