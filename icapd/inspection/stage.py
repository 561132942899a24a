"""What flows through an inspection."""

from typing import Protocol

from icapd.inspection.findings import Finding


class BodyStream(Protocol):
    """Takes a body in pieces of any size, gives it back inspected; the cut of the pieces changes nothing.

    ScanTimeout passes through `feed` and `finish`; a stream that raised it gives nothing more.
    """

    @property
    def findings(self) -> list[Finding]:
        """What was found so far; grows."""

    @property
    def cut(self) -> bool:
        """Whether a rule in force has blocked the stream: the output ends before its match."""

    def feed(self, data: bytes) -> bytes:
        """What can leave now that `data` is there too."""

    def finish(self) -> bytes:
        """The rest."""
