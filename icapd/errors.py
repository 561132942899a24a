"""The error tree: each error says what was seen, where, and what to do, and carries its answer."""

from pathlib import Path


class IcapdError(Exception):
    """Root of everything icapd raises on purpose."""

    #: The ICAP status that the wire answers with when this error ends a transaction (RFC 3507 section 4.3.3).
    icap_status = 500
    #: The exit code of a command that this error ends: 1 findings, 2 usage, 3 configuration, 4 unreachable.
    exit_code = 1


class ProtocolError(IcapdError):
    """The ICAP conversation broke its grammar."""


class RemoteProtocolError(ProtocolError):
    """The peer sent something that RFC 3507 does not allow; `icap_status` is the answer it gets."""

    def __init__(self, problem: str, icap_status: int = 400) -> None:
        super().__init__(problem)
        self.icap_status = icap_status


class TooManyFields(RemoteProtocolError):
    """A head with more fields than the limit allows."""


class LocalProtocolError(ProtocolError):
    """icapd itself tried to send what the conversation does not allow: a defect here, not there."""


class ConfigurationError(IcapdError):
    """A setting, a file or a place that must be mended before icapd can work."""

    exit_code = 3


class PolicyError(ConfigurationError):
    """A rule file that can't be taken; names the file, and the rule and the key where they are known."""

    def __init__(
        self, problem: str, *, file: Path | str, rule: str | None = None, key: str | None = None
    ) -> None:
        places = [str(file)]
        if rule is not None:
            places.append(f'rule "{rule}"')
        if key is not None:
            places.append(f'key "{key}"')
        super().__init__(": ".join([*places, problem]))
        self.file, self.rule, self.key = file, rule, key


class AuditError(IcapdError):
    """The audit database can't be opened, written or migrated."""

    exit_code = 3


class AuditBusyError(AuditError):
    """Another program holds the audit database for longer than a write may wait."""


class OutboxError(AuditError):
    """One outbox can't be read; others can."""


class UnreachableError(IcapdError):
    """A server that should answer does not."""

    exit_code = 4


class RestartError(IcapdError):
    """A server could not be replaced by a new one of itself; the old one goes on."""

    exit_code = 3


class CodingError(IcapdError):
    """A content coding that can't be decoded; `reason` is the word the audit row gets."""

    def __init__(self, reason: str, problem: str) -> None:
        super().__init__(problem)
        self.reason = reason


class OutOfPatience(IcapdError):
    """It takes longer than the caller can wait; nothing is lost by that, and it can be gone on with."""


class ScanTimeout(IcapdError):
    """A rule took longer over one text than the budget allows."""

    def __init__(self, rule_id: str) -> None:
        super().__init__(f"rule {rule_id} ran out of its time budget")
        self.rule_id = rule_id
