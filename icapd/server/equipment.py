"""What a worker needs before it can serve, besides sockets: rules, fingerprint key, certificates."""

from dataclasses import dataclass, replace
from pathlib import Path

from icapd.configuration import rules_directory
from icapd.errors import PolicyError
from icapd.inspection import Fingerprinter
from icapd.policy import Policy, load_policy
from icapd.server.fingerprint_key import load_or_create_key
from icapd.server.listening.tls import TlsContext, server_context
from icapd.services.catalogue import Catalogue, make_catalogue
from icapd.services.configured import inspection_limits, service_options
from icapd.settings import Settings

#: Seconds that a shadow policy gets for one text: a candidate may hold a rule that takes too long.
_SHADOW_TIMEOUT = 0.1


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the rule files make: the services of the policy, and of one that is tried beside it."""

    live: Catalogue
    #: None: there is no candidate, or it is the policy in force.
    candidate: Catalogue | None = None
    #: Why the candidate can't be taken; "" when it can.
    shadow_problem: str = ""

    @property
    def policy(self) -> Policy:
        return self.live.policy


class Equipment:
    """Loaded whole or not at all; a new policy is loaded beside the one in force, then takes its place."""

    def __init__(self, settings: Settings) -> None:
        """Raises ConfigurationError, which names the file and the remedy."""
        self._settings = settings
        self._fingerprinter = Fingerprinter(load_or_create_key(Path(settings.audit.fingerprint_key)))
        #: None: no listener speaks TLS.
        self.tls = TlsContext(settings.tls) if settings.server.listen_tls else None
        self.in_force = self._load()

    def catalogue(self) -> Catalogue:
        """The services of the policy in force."""
        return self.in_force.live

    def prepare(self) -> Prepared:
        """The services of the policy as the files have it now; nothing is in force yet.

        Raises ConfigurationError, for certificates as well.
        """
        if self.tls is not None:
            server_context(self._settings.tls)
        return self._load()

    def put_in_force(self, prepared: Prepared) -> None:
        """What begins from here on has the new policy and the new certificates."""
        self.in_force = prepared
        if self.tls is not None:
            self.tls.reload()

    def _load(self) -> Prepared:
        live = self._catalogue(load_policy(rules_directory(self._settings)))
        directory = Path(self._settings.policy.shadow)
        if not self._settings.policy.shadow or not (directory / "policy.toml").exists():
            return Prepared(live)
        try:
            candidate = load_policy(directory)
        except PolicyError as error:
            return Prepared(live, None, str(error))
        if candidate.digest == live.policy.digest:
            return Prepared(live)
        return Prepared(live, self._catalogue(candidate, _SHADOW_TIMEOUT))

    def _catalogue(self, policy: Policy, longest: float = float("inf")) -> Catalogue:
        limits, options = inspection_limits(self._settings), service_options(self._settings)
        limits = replace(limits, scan_timeout=min(limits.scan_timeout, longest))
        return make_catalogue(policy, self._fingerprinter, limits, options)
