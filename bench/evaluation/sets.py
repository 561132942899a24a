"""The sets of cases, by name; each one's cases are the same in every run."""

from collections.abc import Callable, Iterator

from bench.evaluation import attacks, harmless_requests, harmless_responses, secrets
from bench.evaluation.case import Case

SETS: dict[str, Callable[[], Iterator[Case]]] = {
    "secrets": secrets.cases,
    "harmless-responses": harmless_responses.cases,
    "attacks": attacks.cases,
    "attack-carriers": attacks.carrier_cases,
    "harmless-requests": harmless_requests.cases,
}
