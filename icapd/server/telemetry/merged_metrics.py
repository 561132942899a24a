"""The metrics of many processes as those of one server: Prometheus text in, Prometheus text out."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

#: Gauges of which a sum says nothing.
_MAXIMA = frozenset({"icapd_queue_oldest_wait_seconds"})
#: What goes on counting when the process that counted it has ended.
_TOTALS = frozenset({"counter", "histogram"})

_Labels = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class _Family:
    """One metric, its samples by name and labels in the order in which they came."""

    type: str
    help: str
    samples: dict[tuple[str, _Labels], float] = field(default_factory=dict)


class MergedMetrics:
    """The latest text of each process, and the totals of those that have ended."""

    def __init__(self, ended: str = "") -> None:
        """`ended`: what `ended` said in an earlier life of the supervisor."""
        self._texts: dict[Hashable, str] = {}
        self._ended = ended

    @property
    def ended(self) -> str:
        """The totals of the processes that have ended, as Prometheus text."""
        return self._ended

    def update(self, process: Hashable, text: str) -> None:
        """What a process has counted so far, in place of what it told before."""
        self._texts[process] = text

    def retire(self, process: Hashable) -> None:
        """A process has ended: what it last told stays in the totals, its gauges do not."""
        text = self._texts.pop(process, None)
        if text is not None:
            families = _added([self._ended, text])
            totals = {name: family for name, family in families.items() if family.type in _TOTALS}
            self._ended = _as_text(totals)

    def text(self, *own: str) -> str:
        """All of it together, and the caller's own."""
        return _as_text(_added([self._ended, *self._texts.values(), *own]))


def _added(texts: Iterable[str]) -> dict[str, _Family]:
    families: dict[str, _Family] = {}
    for text in texts:
        for metric in text_string_to_metric_families(text):
            # When a counter was made says nothing once it is a sum of many.
            if metric.name.endswith("_created"):
                continue
            family = families.setdefault(metric.name, _Family(metric.type, metric.documentation))
            for sample in metric.samples:
                key = (sample.name, tuple(sorted(sample.labels.items())))
                if metric.name in _MAXIMA:
                    family.samples[key] = max(sample.value, family.samples.get(key, 0.0))
                else:
                    family.samples[key] = sample.value + family.samples.get(key, 0.0)
    return families


class _Families(Collector):
    def __init__(self, families: dict[str, _Family]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        for name, family in self._families.items():
            metric = Metric(name, family.help, family.type)
            for (sample, labels), value in family.samples.items():
                metric.add_sample(sample, dict(labels), value)
            yield metric


def _as_text(families: dict[str, _Family]) -> str:
    registry = CollectorRegistry()
    registry.register(_Families(families))
    return generate_latest(registry).decode()
