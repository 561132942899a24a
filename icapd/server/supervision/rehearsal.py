"""The trial of a new program, in a process of its own: whether it could take over (restart.py)."""

import msgspec

from icapd import audit
from icapd.server.equipment import Equipment
from icapd.server.listening import listeners
from icapd.server.listening.listeners import Setting
from icapd.settings import Settings


def rehearse(settings: Settings, held: str) -> None:
    """Raises ConfigurationError and AuditError; `held`: the value of its option."""
    listeners.check(settings.server, set(msgspec.json.decode(held, type=list[tuple[Setting, str]])))
    audit.require_destination(settings.audit.database_url)
    Equipment(settings)
