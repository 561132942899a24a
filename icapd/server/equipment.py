"""What a worker needs before it can serve, besides sockets: rules, fingerprint keys, certificates."""

from dataclasses import dataclass, replace
from pathlib import Path

from icapd.configuration import rules_directory
from icapd.errors import PolicyError
from icapd.inspection import Fingerprinter
from icapd.policy import Policy, load_policy
from icapd.server.fingerprint_keys import load_keys, load_or_create_keys
from icapd.server.listening.tls import TlsContext, server_context
from icapd.services.catalogue import Catalogue, make_catalogue
from icapd.services.configured import inspection_limits, service_options
from icapd.settings import Settings

#: Seconds that a shadow policy gets for one text: a candidate may hold a rule that takes too long.
_SHADOW_TIMEOUT = 0.1


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the rule files and the fingerprint keys make: the services of the policy, and of one that is tried
    beside it."""

    live: Catalogue
    #: None: there is no candidate, or it is the policy in force.
    candidate: Catalogue | None = None
    #: Why the candidate can't be taken; "" when it can.
    shadow_problem: str = ""
    #: Of the key that fingerprints are made with.
    key_id: str = ""

    @property
    def policy(self) -> Policy:
        return self.live.policy


class Equipment:
    """Loaded whole or not at all; a new policy is loaded beside the one in force, then takes its place."""

    def __init__(self, settings: Settings) -> None:
        """Raises ConfigurationError, which names the file and the remedy."""
        self._settings = settings
        load_or_create_keys(Path(settings.audit.fingerprint_key))
        #: None: no listener speaks TLS.
        self.tls = TlsContext(settings.tls) if settings.server.listen_tls else None
        self.in_force = self._load()

    def catalogue(self) -> Catalogue:
        """The services of the policy in force."""
        return self.in_force.live

    def prepare(self) -> Prepared:
        """The services of the policy and under the newest key, as the files have them now; nothing is in
        force yet.

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
        fingerprinter = Fingerprinter(load_keys(Path(self._settings.audit.fingerprint_key))[0])
        live = self._catalogue(load_policy(rules_directory(self._settings)), fingerprinter)
        candidate, problem = self._candidate(live.policy, fingerprinter)
        return Prepared(live, candidate, problem, fingerprinter.key_id)

    def _candidate(self, live: Policy, fingerprinter: Fingerprinter) -> tuple[Catalogue | None, str]:
        """What is tried beside the live policy, and why it can't be."""
        directory = Path(self._settings.policy.shadow)
        if not self._settings.policy.shadow or not (directory / "policy.toml").exists():
            return None, ""
        try:
            candidate = load_policy(directory)
        except PolicyError as error:
            return None, str(error)
        if candidate.digest == live.digest:
            return None, ""
        return self._catalogue(candidate, fingerprinter, _SHADOW_TIMEOUT), ""

    def _catalogue(
        self, policy: Policy, fingerprinter: Fingerprinter, longest: float = float("inf")
    ) -> Catalogue:
        limits, options = inspection_limits(self._settings), service_options(self._settings)
        limits = replace(limits, scan_timeout=min(limits.scan_timeout, longest))
        return make_catalogue(policy, fingerprinter, limits, options)
