"""What a worker needs before it can serve, besides sockets: rules, fingerprint key, certificates."""

from pathlib import Path

from icapd.inspection import Fingerprinter
from icapd.policy import load_policy
from icapd.server.fingerprint_key import load_or_create_key
from icapd.server.listening.tls import TlsContext, server_context
from icapd.services.catalogue import Catalogue, make_catalogue
from icapd.services.configured import inspection_limits, rules_directory, service_options
from icapd.settings import Settings


class Equipment:
    """Loaded whole or not at all; a new policy is loaded beside the one in force, then takes its place."""

    def __init__(self, settings: Settings) -> None:
        """Raises ConfigurationError, which names the file and the remedy."""
        self._settings = settings
        self._fingerprinter = Fingerprinter(load_or_create_key(Path(settings.audit.fingerprint_key)))
        #: None: no listener speaks TLS.
        self.tls = TlsContext(settings.tls) if settings.server.listen_tls else None
        self._catalogue = self._load_catalogue()

    def catalogue(self) -> Catalogue:
        """The services of the policy in force."""
        return self._catalogue

    def prepare(self) -> Catalogue:
        """The services of the policy as the files have it now; nothing is in force yet.

        Raises ConfigurationError, for certificates as well.
        """
        if self.tls is not None:
            server_context(self._settings.tls)
        return self._load_catalogue()

    def put_in_force(self, prepared: Catalogue) -> None:
        """What begins from here on has the new policy and the new certificates."""
        self._catalogue = prepared
        if self.tls is not None:
            self.tls.reload()

    def _load_catalogue(self) -> Catalogue:
        policy = load_policy(rules_directory(self._settings))
        limits, options = inspection_limits(self._settings), service_options(self._settings)
        return make_catalogue(policy, self._fingerprinter, limits, options)
