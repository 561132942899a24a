"""The floor: what Python on this machine can't be faster than. A program of its own.

    python -m bench.floor PORT [--engine]

A bare Protocol on uvloop that finds the end of a request by its last bytes, parses nothing else, records
nothing, and answers 204, or the body again where 204 is not allowed. With --engine each body goes once
through hyperscan with the patterns of icapd's own policy: the inspection, less everything around it.
"""

import argparse
import asyncio
import re

import hyperscan
import uvloop

from icapd.configuration import rules_directory
from icapd.policy import PolicyStore, RuleSet
from icapd.settings import Settings

CONTINUE = b"ICAP/1.0 100 Continue\r\n\r\n"
UNMODIFIED = b'ICAP/1.0 204 No modifications needed\r\nISTag: "floor"\r\n\r\n'
OPTIONS = (
    b'ICAP/1.0 200 OK\r\nMethods: REQMOD, RESPMOD\r\nISTag: "floor"\r\n'
    b"Preview: 4096\r\nTransfer-Preview: *\r\n"
    b"Allow: 204\r\nEncapsulated: null-body=0\r\n\r\n"
)
_FLAGS = hyperscan.HS_FLAG_PREFILTER | hyperscan.HS_FLAG_SINGLEMATCH | hyperscan.HS_FLAG_ALLOWEMPTY


def make_engine(rules: RuleSet) -> hyperscan.Database:
    """All patterns in one database. A pattern hyperscan can't take even as a prefilter is left out."""
    expressions, flags = [], []
    for rule in rules.rules:
        if rule.rule.pattern is None:
            continue
        expression = re.sub(r"\(\?P<\w+>", "(", rule.rule.pattern).encode()
        flag = _FLAGS | (hyperscan.HS_FLAG_CASELESS if rule.rule.ignore_case else 0)
        try:
            hyperscan.Database().compile(expressions=[expression], ids=[0], flags=[flag], elements=1)
        except hyperscan.error:
            continue
        expressions.append(expression)
        flags.append(flag)
    database = hyperscan.Database()
    database.compile(
        expressions=expressions, ids=list(range(len(expressions))), flags=flags, elements=len(expressions)
    )
    return database


class Floor(asyncio.Protocol):
    """One connection. No pipelining: what arrives is one request, or its beginning."""

    engine: hyperscan.Database | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._reset()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        buffer = self._buffer
        if not buffer.endswith(b"\r\n\r\n"):
            return
        head, _, rest = buffer.partition(b"\r\n\r\n")
        if head.startswith(b"OPTIONS"):
            return self._answer(OPTIONS)
        if b"null-body" in head:
            # Both heads are there as soon as two empty lines are.
            return self._answer(UNMODIFIED) if rest else None
        if buffer.endswith(b"\r\n0; ieof\r\n\r\n"):
            self._scan(rest)
            return self._answer(UNMODIFIED)
        if not buffer.endswith(b"\r\n0\r\n\r\n"):
            return None
        if b"\r\nPreview:" in head and not self._continued:
            self._continued = True
            del buffer[-len(b"0\r\n\r\n") :]
            self._transport.write(CONTINUE)
            return None
        self._scan(rest)
        if b"204" in head.partition(b"\r\nAllow:")[2].partition(b"\r\n")[0]:
            return self._answer(UNMODIFIED)
        offsets = re.findall(rb"(?:res-hdr|res-body)=(\d+)", head)
        start, end = map(int, offsets)
        length = end - start
        self._transport.writelines(
            [
                b'ICAP/1.0 200 OK\r\nISTag: "floor"\r\nEncapsulated: res-hdr=0, res-body=%d\r\n\r\n' % length,
                memoryview(rest)[start:],
            ]
        )
        self._reset()
        return None

    def _scan(self, payload: bytearray) -> None:
        """The bytes as they lie there, heads and chunk sizes among them: a little more than the body."""
        if self.engine is not None:
            self.engine.scan(bytes(payload), match_event_handler=_ignore)

    def _answer(self, data: bytes) -> None:
        self._transport.write(data)
        self._reset()

    def _reset(self) -> None:
        self._buffer, self._continued = bytearray(), False


def _ignore(*_: object) -> None:
    """A candidate; deciding about it is what the floor leaves out."""


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Floor, "127.0.0.1", port)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("port", type=int)
    parser.add_argument("--engine", action="store_true", help="scan each body")
    options = parser.parse_args()
    if options.engine:
        policy = PolicyStore(rules_directory(Settings())).current()
        Floor.engine = make_engine(policy.response)
    # glibc then keeps large buffers, instead of asking the kernel for pages of zeros again and again.
    bytearray(16 << 20)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(options.port))


if __name__ == "__main__":
    main()
