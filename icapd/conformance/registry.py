"""All lines of the bar, in their order."""

from icapd.conformance import (
    chunked,
    connections,
    early,
    encapsulated,
    identity,
    options,
    parsing,
    preview,
    responses,
    verdicts,
)
from icapd.conformance.check import Check

#: By the number of the line.
CHECKS: dict[int, Check] = {
    check.line: check
    for section in (
        parsing,
        encapsulated,
        chunked,
        preview,
        early,
        responses,
        verdicts,
        options,
        connections,
        identity,
    )
    for check in section.CHECKS
}
