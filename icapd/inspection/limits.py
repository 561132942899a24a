"""What an inspection may take."""

from dataclasses import dataclass, field

from icapd.http.codings import CodingLimits, KiB, MiB


@dataclass(frozen=True, slots=True)
class InspectionLimits:
    """Limits of one message. Sizes in bytes, times in seconds."""

    #: What a coded body may become that is held back until its verdict.
    buffered_coding: CodingLimits = field(default_factory=CodingLimits)
    #: What a coded body may become that flows.
    streamed_coding: CodingLimits = field(default_factory=lambda: CodingLimits(max_size=None))
    #: A server-sent event up to this size is seen whole; a larger one through the window.
    max_event_size: int = 1 * MiB
    #: Findings kept of a message, apart from the first one of each rule. Redaction has no such limit.
    max_findings: int = 100
    #: What all rules together may take over one text with all its views, and over each MiB of a longer one.
    scan_timeout: float = 0.2
    #: How long a caller waits who has others to serve: behind it, OutOfPatience is raised.
    patience: float = 0.01
    #: How much of a stream is decided at a time: large enough for the margins to weigh little, and with them
    #: less than the 64 KiB that some Squids read of a response before ours begins (bug 5352).
    block_size: int = 32 * KiB
