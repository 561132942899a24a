"""The ICAP services of one server under one policy."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from icapd.audit import AuditRecord
from icapd.icap import Method
from icapd.inspection import Fingerprinter, InspectionLimits, Inspector
from icapd.policy import Policy
from icapd.services.adaptation import Adaptation
from icapd.services.answers import AdaptationOptions
from icapd.services.body_memory import BodyMemory
from icapd.services.options import ServiceDescription
from icapd.services.profile_choice import Inspectors
from icapd.services.transaction import Transaction

#: The smallest number that 1, 2, 3, 4 and 6 Squid workers divide.
_SQUID_WORKERS = 12


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """What the settings say about the services."""

    preview: int
    options_ttl: int
    max_connections: int
    reqmod: AdaptationOptions
    respmod: AdaptationOptions


@dataclass(frozen=True, slots=True)
class Service:
    """One ICAP service: what OPTIONS tells of it, and what its adaptations need."""

    description: ServiceDescription
    inspectors: Inspectors
    options: AdaptationOptions

    @property
    def inspector(self) -> Inspector:
        """Of messages that no scope of the policy applies to, and no exception."""
        return self.inspectors.default

    def adaptation(self, transaction: Transaction, memory: BodyMemory) -> Adaptation:
        """The adaptation of a transaction by what the policy says for it."""
        return Adaptation(transaction, self.inspectors.of(transaction.profile), self.options, memory)

    def record(self, transaction: Transaction, latency_us: int) -> AuditRecord:
        """The audit row as things stand."""
        return transaction.record(latency_us, partial(self.inspectors.mask, transaction.profile))


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Services by the path of their URI; a new policy makes a new catalogue."""

    policy: Policy
    services: Mapping[str, Service]


def make_catalogue(
    policy: Policy, fingerprinter: Fingerprinter, limits: InspectionLimits, options: ServiceOptions
) -> Catalogue:
    """`/reqmod`, `/respmod`, and `/stream` for event streams.

    A preview of an event stream would hold its first events back until it is full: `/stream` asks for none.
    """
    requests = Inspectors(policy, "request", fingerprinter, limits)
    responses = Inspectors(policy, "response", fingerprinter, limits)
    table = (
        ("/reqmod", Method.REQMOD, "icapd ContentInspector", options.preview, requests, options.reqmod),
        ("/respmod", Method.RESPMOD, "icapd ResponseFilter", options.preview, responses, options.respmod),
        ("/stream", Method.RESPMOD, "icapd ResponseFilter for streams", 0, responses, options.respmod),
    )
    # A client counts its connections by service, and all of them meet here.
    max_connections = max(1, options.max_connections // len(table))
    if max_connections > _SQUID_WORKERS:
        # Squid divides it among its workers and drops the remainder.
        max_connections -= max_connections % _SQUID_WORKERS
    services = {}
    for path, method, name, preview, inspectors, adaptation in table:
        description = ServiceDescription(path, method, name, preview, options.options_ttl, max_connections)
        services[path] = Service(description, inspectors, adaptation)
    return Catalogue(policy, services)
