"""Which profile of its policy a transaction gets, by what its heads say and whom the proxy names."""

from functools import lru_cache

from icapd.http.media_types import MediaType
from icapd.http.target import target_of
from icapd.icap import Method, ModRequest
from icapd.inspection import Fingerprinter, InspectionLimits, Inspector
from icapd.policy import Direction, Facts, Policy, Profile, RuleSet, facts_of
from icapd.services.identity import Identity

#: Inspectors of scopes and exceptions that are kept: each has small memories of its own.
_KEPT_INSPECTORS = 256


def profile_of(policy: Policy, request: ModRequest, identity: Identity, now_us: int) -> Profile:
    """The profile for a request or response; `now_us`: microseconds since the epoch."""
    if policy.is_uniform:
        return policy.profile
    return policy.profile_for(_facts(request, identity), now_us / 1e6)


def _facts(request: ModRequest, identity: Identity) -> Facts:
    """A response is told from where it came by the head of its request, which Squid sends along."""
    head = request.request_head
    target = target_of(head)
    described = request.response_head or head
    content_type = described.headers.get(b"content-type") if described else None
    return facts_of(
        direction_of(request),
        client=identity.client_ip,
        user=identity.user,
        groups=identity.groups,
        host=target.host.decode("latin-1"),
        path=target.path.decode("utf-8", "replace"),
        method=head.method.decode("latin-1") if head else "",
        media_type=MediaType.parse(content_type).essence,
    )


def direction_of(request: ModRequest) -> Direction:
    return "request" if request.method is Method.REQMOD else "response"


class Inspectors:
    """The inspectors of one direction: one for each set of rules that a profile has."""

    def __init__(
        self, policy: Policy, direction: Direction, fingerprinter: Fingerprinter, limits: InspectionLimits
    ) -> None:
        self._direction = direction
        self._fingerprinter, self._limits = fingerprinter, limits
        #: Of messages that no scope and no exception applies to.
        self.default = Inspector(policy.profile.rules_for(direction), fingerprinter, limits)
        self._kept = lru_cache(maxsize=_KEPT_INSPECTORS)(self._make)

    def of(self, profile: Profile) -> Inspector:
        rules = profile.rules_for(self._direction)
        return self.default if rules is self.default.rules else self._kept(rules)

    def mask(self, profile: Profile, text: bytes) -> bytes:
        """A text that is kept, without what any rule finds, of the profile or of those for everybody."""
        inspector = self.of(profile)
        masked = self.default.mask_text(text)
        return masked if inspector is self.default else inspector.mask_text(masked)

    def _make(self, rules: RuleSet) -> Inspector:
        return Inspector(rules, self._fingerprinter, self._limits)
