"""Which arrangement of sockets spreads connections evenly over processes, and what accepting one costs.

    .venv/bin/python -m bench.balance

A program of its own with tiny workers, not icapd's: they take a connection, greet it, and let it go when its
client does. A client opens its connections one right after the other and keeps them, as Squid does, which
sends all its traffic over a few. Three arrangements take turns:

- *shared*: one listening socket, in an epoll of each worker; whoever wakes first accepts;
- *SO_REUSEPORT*: a listening socket for each worker; the kernel chooses by a hash of addresses and ports;
- *handed over*: one more process accepts, and passes each connection to the worker with the fewest
  (SCM_RIGHTS), which tells when one has ended.
"""

import argparse
import os
import select
import socket
import statistics
import time
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from multiprocessing import get_context
from typing import Self

ADDRESS = "127.0.0.1"
BACKLOG = 512
WORKERS = (2, 4)
CONNECTIONS = (4, 8, 200)
#: Seconds for processes to go to sleep again before their CPU is read.
SETTLE = 0.01

Action = Callable[[], None]


class Worker:
    """Takes connections and greets each with the worker's number."""

    def __init__(self, number: int) -> None:
        self._greeting = bytes([number])
        self._epoll = select.epoll()
        self._actions: dict[int, Action] = {}
        self._connections: dict[int, socket.socket] = {}
        self._channel: socket.socket | None = None

    def listen(self, listener: socket.socket) -> None:
        """Action what can be accepted here."""
        self._watch(listener, lambda: accept_all(listener, self._take))
        self._run()

    def obey(self, channel: socket.socket) -> None:
        """Action what is handed over, and tell when it has ended."""
        self._channel = channel
        self._watch(channel, lambda: self._receive(channel))
        self._run()

    def _run(self) -> None:
        while True:
            for descriptor, _ in self._epoll.poll():
                self._actions[descriptor]()

    def _watch(self, watched: socket.socket, action: Action) -> None:
        self._actions[watched.fileno()] = action
        self._epoll.register(watched, select.EPOLLIN)

    def _receive(self, channel: socket.socket) -> None:
        while True:
            try:
                _, descriptors, _, _ = socket.recv_fds(channel, 1, 1)
            except BlockingIOError:
                return
            self._take(socket.socket(fileno=descriptors[0]))

    def _take(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._connections[connection.fileno()] = connection
        self._watch(connection, partial(self._end, connection))
        connection.send(self._greeting)

    def _end(self, connection: socket.socket) -> None:
        if self._channel is not None:
            self._channel.send(b".")
        del self._actions[connection.fileno()], self._connections[connection.fileno()]
        connection.close()


def accept_all(listener: socket.socket, take: Callable[[socket.socket], None]) -> None:
    """Accept until nobody waits, as event loops do."""
    while True:
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            return
        take(connection)


def supervise(listener: socket.socket, channels: Sequence[socket.socket]) -> None:
    """Hand each connection to the worker that has the fewest."""
    load = dict.fromkeys(channels, 0)
    by_descriptor = {channel.fileno(): channel for channel in channels}
    epoll = select.epoll()
    for watched in (listener, *channels):
        epoll.register(watched, select.EPOLLIN)

    def hand_over(connection: socket.socket) -> None:
        channel = min(load, key=load.__getitem__)
        load[channel] += 1
        rights = array("i", [connection.fileno()])
        channel.sendmsg([b"."], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        connection.close()

    while True:
        for descriptor, _ in epoll.poll():
            if descriptor == listener.fileno():
                accept_all(listener, hand_over)
            else:
                channel = by_descriptor[descriptor]
                channel.recv(1)
                load[channel] -= 1


class Arrangement:
    """A server of some processes, which live while its context lasts."""

    def __init__(self, jobs: Sequence[Action], port: int) -> None:
        self._jobs = jobs
        self.port = port

    def __enter__(self) -> Self:
        # Forked: they keep the sockets that were made for them.
        self._processes = [get_context("fork").Process(target=job, daemon=True) for job in self._jobs]
        for process in self._processes:
            process.start()
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.terminate()
            process.join()

    def cpu(self) -> float:
        """Seconds of CPU of all processes so far, to the nanosecond."""
        # clock_getcpuclockid(3): the clock of another process.
        clocks = ((~process.pid << 3) | 2 for process in self._processes if process.pid is not None)
        return sum(map(time.clock_gettime, clocks))


def shared(workers: int) -> Arrangement:
    """One listening socket for all."""
    listener = listening(0)
    return Arrangement(
        [partial(serve_listener, number, listener) for number in range(workers)], port_of(listener)
    )


def reuseport(workers: int) -> Arrangement:
    """A listening socket for each."""
    first = listening(0, reuse=True)
    listeners = [first, *(listening(port_of(first), reuse=True) for _ in range(workers - 1))]
    jobs = [partial(serve_listener, number, listener) for number, listener in enumerate(listeners)]
    return Arrangement(jobs, port_of(first))


def handed_over(workers: int) -> Arrangement:
    """A process in front that accepts for all."""
    listener = listening(0)
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(workers)]
    for _, theirs in pairs:
        theirs.setblocking(False)
    jobs: list[Action] = [partial(serve_channel, number, theirs) for number, (_, theirs) in enumerate(pairs)]
    return Arrangement([partial(supervise, listener, [ours for ours, _ in pairs]), *jobs], port_of(listener))


ARRANGEMENTS = {"shared": shared, "SO_REUSEPORT": reuseport, "handed over": handed_over}


def serve_listener(number: int, listener: socket.socket) -> None:
    """The job of a worker that accepts itself."""
    Worker(number).listen(listener)


def serve_channel(number: int, channel: socket.socket) -> None:
    """The job of a worker that is given its connections."""
    Worker(number).obey(channel)


def listening(port: int, *, reuse: bool = False) -> socket.socket:
    """A listening socket; port 0: of the system's choice."""
    listener = socket.socket()
    if reuse:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind((ADDRESS, port))
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener


def port_of(listener: socket.socket) -> int:
    """Where it listens."""
    return int(listener.getsockname()[1])


def measure(server: Arrangement, workers: int, connections: int) -> tuple[float, float]:
    """Open connections and close them again: fewest/most of a worker, and seconds of CPU for each."""
    time.sleep(SETTLE)
    before = server.cpu()
    with ExitStack() as stack:
        opened = [
            stack.enter_context(socket.create_connection((ADDRESS, server.port))) for _ in range(connections)
        ]
        load = Counter(connection.recv(1)[0] for connection in opened)
        time.sleep(SETTLE)
        cpu = (server.cpu() - before) / connections
        for connection in opened:
            connection.shutdown(socket.SHUT_WR)
        # Until the worker has let go of it, too.
        assert not any(connection.recv(1) for connection in opened)
    counts = [load[number] for number in range(workers)]
    return min(counts) / max(counts), cpu


def main() -> None:
    """Measure all, and print a table."""
    parser = argparse.ArgumentParser(description="Compare ways to spread connections over processes.")
    parser.add_argument("--repeats", type=int, default=20, help="of each measurement [default: 20]")
    repeats = parser.parse_args().repeats
    names = list(ARRANGEMENTS)
    print(f"{len(os.sched_getaffinity(0))} cores, {repeats} repeats; fewest/most connections of a worker")
    print("(mean, worst), and CPU of all its processes for each connection accepted (median)\n")
    print("| workers | connections |", *(f" {name} | CPU, µs |" for name in names), sep="")
    print("|---|---|" + "---|---|" * len(names))
    for workers in WORKERS:
        with ExitStack() as stack:
            servers = [stack.enter_context(ARRANGEMENTS[name](workers)) for name in names]
            for server in servers:
                measure(server, workers, max(CONNECTIONS))
            for connections in CONNECTIONS:
                # By turns, so that a busy moment of the machine meets all.
                turns = [
                    [measure(server, workers, connections) for server in servers] for _ in range(repeats)
                ]
                cells = []
                for results in zip(*turns, strict=True):
                    spreads, costs = zip(*results, strict=True)
                    cells.append(f" {statistics.mean(spreads):.2f} ({min(spreads):.2f}) ")
                    cells.append(f" {statistics.median(costs) * 1e6:.0f} ")
                print(f"| {workers} | {connections} |" + "|".join(cells) + "|")


if __name__ == "__main__":
    main()
