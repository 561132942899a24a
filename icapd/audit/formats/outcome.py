"""What was done to a message, in the words of others."""

from typing import Literal

from icapd.audit.record import AuditRecord

#: `detected`: found, and let through, as by rules that only watch. `error`: there was no verdict, or the
#: message passed because it could not be inspected.
Outcome = Literal["allowed", "blocked", "modified", "detected", "error"]


def outcome(record: AuditRecord) -> Outcome:
    """By what was done, not by what the policy wanted."""
    match record.disposition:
        case "blocked":
            return "blocked"
        case "redacted" | "normalised":
            return "modified"
        case "failed" | "bypassed":
            return "error"
        case "cut":
            return "blocked" if record.verdict == "blocked" else "error"
        case _:
            return "allowed" if record.verdict == "allowed" else "detected"


def url(record: AuditRecord) -> str | None:
    """The address, as far as it is known; None without a host."""
    if record.host is None:
        return None
    host = f"[{record.host}]" if ":" in record.host else record.host
    port = f":{record.port}" if record.port else ""
    return f"{record.scheme or 'http'}://{host}{port}{record.path or ''}"


def path_and_query(record: AuditRecord) -> tuple[str, str]:
    """The two parts of the record's path; "" where there is none."""
    path, _, query = (record.path or "").partition("?")
    return path, query


def without_nothing(values: dict[str, object]) -> dict[str, object]:
    """The same without what is not known, in objects within it, too."""
    kept: dict[str, object] = {}
    for name, value in values.items():
        inner = without_nothing(value) if isinstance(value, dict) else value
        if inner not in (None, "", {}, []):
            kept[name] = inner
    return kept
