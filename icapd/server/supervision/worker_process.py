"""A worker as the supervisor sees it: its process, its channel, its connections."""

import asyncio
import itertools
import os
import signal
import socket
import time
from collections import Counter
from contextlib import ExitStack
from typing import Protocol, Self

import msgspec

from icapd.errors import IcapdError
from icapd.server.control.supervision import WorkerState
from icapd.server.engine import Peer
from icapd.server.supervision import channel
from icapd.server.supervision.channel import Channel
from icapd.server.supervision.messages import (
    Commit,
    Committed,
    Drain,
    Ended,
    Message,
    Note,
    NotStarted,
    Prepare,
    Prepared,
    Reply,
    Report,
    Start,
    Started,
    Take,
    Tell,
)

#: The program.
WORKER_MODULE = "icapd.server.worker"
#: Seconds beyond its time that a draining worker gets for its last records.
KILL_AFTER = 5.0

_numbers = itertools.count(1)


class WorkerGone(IcapdError):
    """A worker ended before it answered."""


class Passport(msgspec.Struct, frozen=True):
    """A worker, as one supervisor hands it to the next: that is the same process, with another program."""

    pid: int
    channel: int
    state: WorkerState
    since: float
    restarts: int
    policy: Started
    peers: list[tuple[Peer, int]]


class Owner(Protocol):
    """Who is told about a worker."""

    def started(self, worker: "WorkerProcess") -> None:
        """It can take connections."""

    def left(self, peer: Peer) -> None:
        """One of its connections has ended."""

    def ended(self, worker: "WorkerProcess") -> None:
        """Its process is no more; `worker.end` says how."""


class WorkerProcess:
    """One process. It lives until `Owner.ended`."""

    def __init__(self, owner: Owner, pid: int, end: socket.socket, *, since: float, restarts: int) -> None:
        self.pid = pid
        self.since = since
        #: How often the process in this place had to be started again.
        self.restarts = restarts
        self.state: WorkerState = "starting"
        #: The policy that it serves; None until it has told.
        self.policy: Started | None = None
        #: What it said why it can't start.
        self.refusal: NotStarted | None = None
        #: How the process ended; "" while it lives.
        self.end = ""
        #: Why it can write no audit records, as it last told; "" when it can.
        self.unwritable = ""
        #: Prometheus text, as it last told.
        self.metrics = ""
        #: Who is connected, and how often.
        self.peers: Counter[Peer] = Counter()
        self.connections = 0
        self._owner = owner
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._channel = Channel(end, self._receive, self._forget_questions)
        self._loop = asyncio.get_running_loop()
        self._pidfd = os.pidfd_open(pid)
        self._loop.add_reader(self._pidfd, self._end)

    @classmethod
    def spawn(cls, owner: Owner, start: Start, restarts: int = 0) -> Self:
        """Start a process: a program of its own, so that it has the code that is installed now."""
        ours, theirs = channel.pair()
        with theirs, ExitStack() as undo:
            undo.callback(ours.close)
            pid = channel.spawn(WORKER_MODULE, theirs)
            undo.pop_all()
        process = cls(owner, pid, ours, since=time.time(), restarts=restarts)
        process._channel.send(start)
        return process

    @classmethod
    def adopt(cls, owner: Owner, passport: Passport) -> Self:
        """Go on with a worker of the supervisor before."""
        end = socket.socket(fileno=passport.channel)
        end.set_inheritable(False)
        process = cls(owner, passport.pid, end, since=passport.since, restarts=passport.restarts)
        process.state, process.policy = passport.state, passport.policy
        process.peers = Counter(dict(passport.peers))
        process.connections = process.peers.total()
        return process

    @property
    def is_alive(self) -> bool:
        """False from when its channel has ended, some time before its process is no more."""
        return self._channel.is_alive

    @property
    def is_told(self) -> bool:
        """Whether all that it was sent has left for it."""
        return self._channel.is_alive and self._channel.is_flushed

    def passport(self) -> Passport:
        """For the next supervisor, which inherits the channel. Only of a worker that has started."""
        assert self.policy is not None
        return Passport(
            pid=self.pid,
            channel=self._channel.fileno(),
            state=self.state,
            since=self.since,
            restarts=self.restarts,
            policy=self.policy,
            peers=list(self.peers.items()),
        )

    def take(self, connection: socket.socket, peer: Peer, *, tls: bool) -> bool:
        """Hand over a connection; False when the worker has just died, and the connection is as it was."""
        if not self._channel.send(Take(peer, tls), connection):
            return False
        self.peers[peer] += 1
        self.connections += 1
        return True

    async def tell(self, *, metrics: bool) -> None:
        """Have it say how it is. Raises WorkerGone."""
        await self._ask(Tell(next(_numbers), metrics))

    async def prepare(self) -> Prepared:
        """Have it load the policy anew. Raises WorkerGone."""
        reply = await self._ask(Prepare(next(_numbers)))
        assert isinstance(reply, Prepared)
        return reply

    async def commit(self, prepared: Prepared) -> None:
        """Have it put in force what it prepared. Raises WorkerGone."""
        await self._ask(Commit(next(_numbers)))
        self.policy = Started(prepared.istag, prepared.packs, prepared.mode, prepared.state)

    def note(self, note: Note) -> bool:
        """Have it keep this in the audit trail; False when it has just died."""
        return self._channel.send(note)

    def drain(self, timeout: float, *, retire: bool) -> None:
        """Have it end within `timeout` seconds, and make it end some time later."""
        if self.state == "draining" and retire:
            return
        self.state = "draining"
        self._channel.send(Drain(timeout, retire))
        self._loop.call_later(timeout + KILL_AFTER, self.kill)

    def kill(self) -> None:
        """End it at once."""
        # By the descriptor: a number may be another process's by now.
        if self._pidfd >= 0:
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    async def _ask(self, question: Tell | Prepare | Commit) -> Reply:
        answer: asyncio.Future[Reply] = self._loop.create_future()
        self._waiting[question.number] = answer
        try:
            if not self._channel.send(question):
                raise WorkerGone(f"worker {self.pid} has ended")
            return await answer
        finally:
            del self._waiting[question.number]

    def _receive(self, message: Message, descriptor: int | None) -> None:
        match message:
            case Ended(peer):
                # A connection that was adopted may have been counted otherwise.
                if self.peers[peer] > 0:
                    self.peers[peer] -= 1
                    self.connections -= 1
                    if not self.peers[peer]:
                        del self.peers[peer]
                    self._owner.left(peer)
            case Started():
                self.policy, self.state = message, "serving"
                self._owner.started(self)
            case NotStarted():
                self.refusal = message
            case Report():
                self._note(message, descriptor)
                self._answer(message)
            case Prepared() | Committed():
                self._answer(message)

    def _note(self, report: Report, descriptor: int | None) -> None:
        self.unwritable = report.unwritable
        if descriptor is not None:
            with os.fdopen(descriptor, "rb") as file:
                file.seek(0)
                self.metrics = file.read().decode()

    def _answer(self, reply: Reply) -> None:
        answer = self._waiting.get(reply.number)
        if answer is not None and not answer.done():
            answer.set_result(reply)

    def _forget_questions(self) -> None:
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(WorkerGone(f"worker {self.pid} has ended"))

    def _end(self) -> None:
        """The process is no more."""
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._pidfd = -1
        _, status = os.waitpid(self.pid, 0)
        self._channel.receive_rest()
        self._channel.close()
        self._forget_questions()
        code = os.waitstatus_to_exitcode(status)
        peers, self.peers, self.connections = self.peers, Counter(), 0
        for peer in peers.elements():
            self._owner.left(peer)
        self.end = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        self._owner.ended(self)
