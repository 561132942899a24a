"""What flows through an inspection."""

from typing import Protocol

from icapd.inspection.findings import Finding


class BodyStream(Protocol):
    """Takes a body in pieces of any size, gives it back inspected; the cut of the pieces changes nothing.

    ScanTimeout passes through `feed` and `finish`; a stream that raised it gives nothing more. OutOfPatience
    is raised by a stream that is not `patient`: it has taken the data, and goes on with it when it is fed
    with nothing, or asked to finish again.
    """

    #: Whether it may take its time; not so where others wait meanwhile.
    patient: bool

    @property
    def findings(self) -> list[Finding]:
        """What was found so far; grows."""

    @property
    def leaves_unread(self) -> bool:
        """Whether something was in it that is read only where all of a body is there."""

    @property
    def cut(self) -> bool:
        """Whether a rule in force has blocked the stream: the output ends before its match."""

    def feed(self, data: bytes) -> bytes:
        """What can leave now that `data` is there too."""

    def finish(self) -> bytes:
        """The rest."""
