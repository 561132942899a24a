"""One adaptation from its first byte to its audit record: the one object that changes on the way."""

import re
from collections.abc import Callable, Iterable

from icapd.audit import AuditRecord, Disposition, FindingRecord, Inspection, Phase, uuid7
from icapd.http.media_types import MediaType
from icapd.http.target import Target, target_of
from icapd.http.url_shape import path_shape, query_shape
from icapd.icap import Method, ModRequest
from icapd.inspection import Finding
from icapd.policy import BY_POLICY, KEPT, Action, Policy
from icapd.services.examination import risk_score
from icapd.services.identity import Identity
from icapd.services.profile_choice import direction_of, profile_of
from icapd.services.thresholds import judged

TXN_HEADER = b"X-Icapd-Txn"
#: What is done with a message that stands as it came.
_UNTOUCHED = ("unmodified", "echoed")
# What we gave the request as its id comes back with its response (Squid's adaptation_masterx_shared_names).
_OWN_TXN_ID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


class Transaction:
    """What is known of one REQMOD or RESPMOD transaction so far. Pins the policy that it began with,
    and what of it holds for this message."""

    def __init__(
        self,
        request: ModRequest,
        policy: Policy,
        now_us: int,
        identity: Identity,
        findings: Iterable[Finding] = (),
    ) -> None:
        """`now_us`: the wall clock in microseconds since the epoch; `identity`: whose message it is, and
        `findings` what is to be noted about that."""
        self.request = request
        self.policy = policy
        self.profile = profile_of(policy, request, identity, now_us)
        self.identity = identity
        self.occurred_at = now_us
        self.event_id = uuid7()
        shared = request.headers.get(TXN_HEADER)
        self.txn_id = shared.decode() if shared and _OWN_TXN_ID.fullmatch(shared) else self.event_id
        self.findings = list(findings)
        #: What could be done about the verdict.
        self.disposition: Disposition = "unmodified"
        self.inspection: Inspection = "complete"
        self.skip_reason = ""
        #: Blocked although no rule says so: it could not be inspected, or not be redacted.
        self.blocked_otherwise = False
        self.body_bytes = 0
        self.http_status = request.response_head.status if request.response_head else 0

    def add_findings(self, findings: Iterable[Finding]) -> None:
        """Keep them, with what the risk score comes to by them."""
        self.findings.extend(findings)
        judged(self.findings, self.profile)

    def mark(self, inspection: Inspection, reason: str) -> None:
        """Say that the message was not, or not wholly, inspected; the first reason stays."""
        if not self.skip_reason:
            self.inspection, self.skip_reason = inspection, reason

    def note_truncation(self, announced: int | None) -> int:
        """How many bytes are missing at the body's end. Squid ends one that broke off as if it were whole.

        Only Content-Length tells; a changed one stays too large by as much, so that the client sees it too.
        """
        missing = max(0, (announced or 0) - self.body_bytes)
        if missing:
            self.mark("partial", "truncated")
        return missing

    def unseen(self, overloaded: bool) -> str:
        """Why the message is not looked at, in the word of the audit row; "" when it is."""
        if self.profile.skip:
            return BY_POLICY
        return "overload" if overloaded else ""

    def skips_body(self, essence: str, length: int | None) -> bool:
        """Whether the policy says that a body of this type and announced length is not read."""
        return self.profile.skips_body(direction_of(self.request), essence, length)

    @property
    def verdict(self) -> Action:
        """What the policy wants, whether or not it is enforced."""
        if self.blocked_otherwise:
            return Action.BLOCK
        return max((finding.action for finding in self.findings), default=Action.ALLOW)

    @property
    def effect(self) -> Action:
        """What of the verdict is enforced."""
        if self.blocked_otherwise:
            return Action.BLOCK
        return max((finding.action for finding in self.findings if finding.enforced), default=Action.ALLOW)

    @property
    def must_block(self) -> bool:
        return any(finding.enforced and finding.action is Action.BLOCK for finding in self.findings)

    @property
    def gravest_rule(self) -> str:
        """The id of the gravest rule that is enforced; "" when there is none."""
        enforced = [finding for finding in self.findings if finding.enforced]
        return max(enforced, key=lambda finding: finding.action).rule_id if enforced else ""

    @property
    def risk_score(self) -> int:
        """The scores of the rules that fired, each rule once."""
        return risk_score(self.findings)

    @property
    def is_quiet(self) -> bool:
        """Whether it was allowed, wholly read, and nothing was found."""
        return (
            self.disposition in _UNTOUCHED
            and self.inspection == "complete"
            and not self.findings
            and not self.blocked_otherwise
        )

    def phase(self, phase: Phase) -> Phase:
        """The phase of its record, or what stands for it where the policy wants none."""
        if phase == "open" or KEPT[self.profile.audit].quiet_messages or not self.is_quiet:
            return phase
        return "omit" if phase == "final" else "drop"

    def record(self, latency_us: int, mask: Callable[[bytes], bytes]) -> AuditRecord:
        """The audit row as things stand, with what the policy wants of it; `mask` takes secrets out of what
        the client wrote."""
        kept = KEPT[self.profile.audit]
        request, identity = self.request, self.identity
        target = target_of(request.request_head)
        head = request.response_head or request.request_head
        content_type = head.headers.get(b"content-type") if head else None
        is_request = request.method is Method.REQMOD
        return AuditRecord(
            event_id=self.event_id,
            txn_id=self.txn_id,
            occurred_at=self.occurred_at,
            method_icap=request.method.value,
            http_method=mask(request.request_head.method).decode("ascii") if request.request_head else None,
            scheme=target.scheme or None,
            host=mask(target.host).decode("latin-1").lower() or None,
            port=target.port or None,
            path=_kept_path(target, mask) or None if kept.path else None,
            client_ip=identity.client_ip or None,
            client_user=identity.user or None if kept.name else None,
            verdict=self.verdict.verdict,
            disposition=self.disposition,
            inspection=self.inspection,
            skip_reason=self.skip_reason or None,
            request_bytes=self.body_bytes if is_request else 0,
            response_bytes=0 if is_request else self.body_bytes,
            content_type=_kept_type(content_type, mask) or None,
            http_status=self.http_status or None,
            risk_score=self.risk_score,
            policy_digest=self.policy.digest,
            latency_us=latency_us,
            findings=tuple(
                FindingRecord(
                    rule_id=finding.rule_id,
                    severity=finding.severity,
                    action=finding.action.name.lower(),
                    target=finding.target,
                    excerpt=finding.excerpt if kept.excerpts else "",
                    fingerprint=finding.fingerprint if kept.fingerprints else "",
                )
                for finding in self.findings
            ),
        )


def _kept_type(content_type: bytes | None, mask: Callable[[bytes], bytes]) -> str:
    """The media type without its parameters, and without what rules find in it as it was written."""
    written = (content_type or b"").partition(b";")[0]
    kept = mask(written)
    return MediaType.parse(content_type).essence if kept == written else kept.decode("latin-1").lower()


def _kept_path(target: Target, mask: Callable[[bytes], bytes]) -> str:
    """The path and the names in the query, without what rules find in either."""
    # Names come again and again, and so with `mask`: apart from the path it remembers more of them.
    path, query = path_shape(mask(target.path)), mask(query_shape(target.query))
    return (path + b"?" + query if query else path).decode("utf-8", "replace")
