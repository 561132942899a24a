"""The rules over texts of any charset: inspected in UTF-8, redacted in their own bytes."""

from dataclasses import replace

from icapd.http.charsets import SAMPLE, charset_of, is_doubtful
from icapd.http.media_types import MediaType
from icapd.http.transcoding import Edit, Transcoding, difference
from icapd.inspection import BodyInspection, BodyStream, Finding, Inspector

# Parts of a text that are compared at once.
_COMPARED = 64


def inspect_text(
    inspector: Inspector, text: bytes, media_type: MediaType, *, patient: bool = True
) -> BodyInspection:
    """A whole text in no coding, with findings and redactions in its own bytes.

    Raises CodingError `charset`, and what `Inspector.inspect_body` raises.
    """
    charset = charset_of(media_type, text[:SAMPLE])
    if charset is None:
        return inspector.inspect_body(text, media_type, patient=patient)
    if not is_doubtful(charset, media_type, text[:SAMPLE]):
        return _inspect_transcoded(inspector, text, media_type, charset, patient)
    # Who does not know it, or asks no label, reads the bytes as they are.
    plain = inspector.inspect_body(text, media_type, patient=patient)
    inspection = _inspect_transcoded(inspector, plain.text, media_type, charset, patient)
    return BodyInspection(
        (*plain.findings, *inspection.findings),
        inspection.text,
        plain.truncated_findings or inspection.truncated_findings,
    )


def _inspect_transcoded(
    inspector: Inspector, own: bytes, media_type: MediaType, charset: str, patient: bool
) -> BodyInspection:
    transcoding = Transcoding(charset)
    text = transcoding.feed(own, is_last=True)
    inspection = inspector.inspect_body(text, media_type, patient=patient)
    findings = tuple(_at_own_bytes(finding, transcoding) for finding in inspection.findings)
    changed = own
    if inspection.text is not text:
        changed = transcoding.respell(inspection.edits or [difference(text, inspection.text)])
    return BodyInspection(findings, changed, inspection.truncated_findings)


def _at_own_bytes(finding: Finding, transcoding: Transcoding) -> Finding:
    start, end = transcoding.own_offset(finding.start), transcoding.own_offset(finding.end)
    return replace(finding, start=start, end=end)


class TranscodedStream:
    """A stream of another charset through a stage for UTF-8 that keeps the length of what it gets.

    What differs in what comes out of that has been redacted; it is spelled anew, in as many bytes as it had.
    Spans of findings are those in UTF-8.
    """

    def __init__(self, charset: str, stage: BodyStream) -> None:
        self._transcoding = Transcoding(charset)
        self._stage = stage
        # The text in UTF-8 that has not come out of the stage, and where that begins.
        self._text = bytearray()
        self._position = 0
        # What has come out of the stage, and may leave once that has finished.
        self._out = b""
        self._has_ended = False

    @property
    def patient(self) -> bool:
        return self._stage.patient

    @patient.setter
    def patient(self, patient: bool) -> None:
        self._stage.patient = patient

    @property
    def findings(self) -> list[Finding]:
        return self._stage.findings

    @property
    def leaves_unread(self) -> bool:
        return self._stage.leaves_unread

    @property
    def cut(self) -> bool:
        return self._stage.cut

    def feed(self, data: bytes) -> bytes:
        text = self._transcoding.feed(data)
        self._text += text
        return self._respelled(self._stage.feed(text))

    def finish(self) -> bytes:
        rest = b""
        if not self._has_ended:
            self._has_ended = True
            rest = self._transcoding.feed(b"", is_last=True)
            self._text += rest
        self._out += self._stage.feed(rest)
        self._out += self._stage.finish()
        return self._respelled(self._out)

    def _respelled(self, out: bytes) -> bytes:
        if not out:
            return b""
        edits = [
            Edit(self._position + start, self._position + end, out[start:end])
            for start, end in _differing(bytes(self._text[: len(out)]), out)
        ]
        del self._text[: len(out)]
        self._position += len(out)
        return self._transcoding.take(self._position, edits, keeps_length=True)


def _differing(one: bytes, other: bytes) -> list[tuple[int, int]]:
    """The spans in which two texts of the same length differ."""
    if one == other:
        return []
    spans: list[tuple[int, int]] = []
    for begin in range(0, len(one), _COMPARED):
        if one[begin : begin + _COMPARED] == other[begin : begin + _COMPARED]:
            continue
        for at in range(begin, min(begin + _COMPARED, len(one))):
            if one[at] == other[at]:
                continue
            if spans and spans[-1][1] == at:
                spans[-1] = (spans[-1][0], at + 1)
            else:
                spans.append((at, at + 1))
    return spans
