"""Who may connect, how many, whom to believe: by tables, and by any order of arrivals and departures."""

from collections import Counter

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from structlog.testing import capture_logs

from icapd.server.engine import Peer
from icapd.server.listening.admission import Admission, Refusal
from icapd.server.telemetry.log_limit import INTERVAL, MAX_REMEMBERED
from icapd.settings import Server

FLEET = Server(
    allow_from=("192.0.2.0/24", "2001:db8::/32", "fe80::/10"),
    trust_identity_from=("192.0.2.0/28", "2001:db8:1::/48", "unix"),
)
NO_UNIX = Server(trust_identity_from=("0.0.0.0/0",))


class Clock:
    """A clock that the test turns."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("settings", "address", "answer"),
    [
        pytest.param(FLEET, "192.0.2.7", Peer("192.0.2.7", trusted=True), id="allowed-and-trusted"),
        pytest.param(FLEET, "192.0.2.77", Peer("192.0.2.77", trusted=False), id="allowed"),
        pytest.param(FLEET, "198.51.100.1", Refusal("198.51.100.1", "network"), id="stranger"),
        pytest.param(FLEET, "127.0.0.1", Refusal("127.0.0.1", "network"), id="loopback-has-no-privilege"),
        pytest.param(FLEET, "2001:db8:1::5", Peer("2001:db8:1::5", trusted=True), id="ipv6"),
        pytest.param(FLEET, "2001:db9::5", Refusal("2001:db9::5", "network"), id="ipv6-stranger"),
        pytest.param(FLEET, "2001:DB8:1:0::5", Peer("2001:db8:1::5", trusted=True), id="ipv6-other-spelling"),
        pytest.param(FLEET, "fe80::1%eth0", Peer("fe80::1", trusted=False), id="link-local-with-interface"),
        pytest.param(FLEET, "::ffff:192.0.2.7", Peer("192.0.2.7", trusted=True), id="mapped-ipv4"),
        pytest.param(FLEET, "::ffff:203.0.113.1", Refusal("203.0.113.1", "network"), id="mapped-stranger"),
        pytest.param(FLEET, "", Peer("", trusted=True), id="unix"),
        pytest.param(NO_UNIX, "", Peer("", trusted=False), id="unix-not-trusted"),
        pytest.param(Server(allow_from=()), "", Peer("", trusted=True), id="unix-where-no-network-may"),
        pytest.param(Server(), "127.8.9.10", Peer("127.8.9.10", trusted=True), id="default-loopback"),
        pytest.param(Server(), "::1", Peer("::1", trusted=True), id="default-loopback-ipv6"),
        pytest.param(Server(), "10.0.0.1", Refusal("10.0.0.1", "network"), id="default-other-machine"),
    ],
)
def test_networks_decide_who_connects_and_who_is_believed(
    settings: Server, address: str, answer: Peer | Refusal
) -> None:
    admission = Admission(settings, capacity=10)
    assert admission.arrive(address) == answer
    assert admission.arrive(address) == answer
    assert admission.connections == (2 if isinstance(answer, Peer) else 0)


def test_over_capacity_as_many_again_meet_the_fail_mode_and_the_rest_wait() -> None:
    admission = Admission(Server(), capacity=3)
    peers = []
    while not admission.is_full:
        peer = admission.arrive("127.0.0.1")
        assert isinstance(peer, Peer)
        peers.append(peer)
    assert [peer.overloaded for peer in peers] == [False] * 3 + [True] * 3
    assert (admission.connections, admission.overloaded) == (6, 3)
    admission.leave(peers[0])
    assert not admission.is_full
    # The place of one that was inspected goes to the next, whoever is waiting in the overload.
    assert admission.arrive("127.0.0.1") == Peer("127.0.0.1", overloaded=False)
    assert admission.is_full


def test_share_of_one_address_is_treated_as_the_capacity_is_and_leaves_room_for_others() -> None:
    admission = Admission(Server(max_connections_per_peer=2), capacity=4)
    answers = [admission.arrive("127.0.0.1") for _ in range(5)]
    assert [isinstance(answer, Peer) and answer.overloaded for answer in answers[:4]] == [
        *(False, False),
        *(True, True),
    ]
    assert answers[4] == Refusal("127.0.0.1", "connections")
    assert admission.arrive("127.0.0.2") == Peer("127.0.0.2", overloaded=False)


def test_unix_socket_has_no_share() -> None:
    admission = Admission(Server(max_connections_per_peer=1), capacity=4)
    assert [admission.arrive("") for _ in range(4)] == [Peer("")] * 4


def test_refusals_are_logged_once_a_minute_for_each_address_with_the_remedy() -> None:
    clock = Clock()
    admission = Admission(Server(), capacity=1, clock=clock)
    with capture_logs() as lines:
        for _ in range(100):
            admission.arrive("10.0.0.1")
        admission.arrive("10.0.0.2")
        clock.now += INTERVAL - 1
        admission.arrive("10.0.0.1")
        clock.now += 1
        admission.arrive("10.0.0.1")
    assert [(line["event"], line["address"], line["reason"]) for line in lines] == [
        ("connection-refused", address, "network") for address in ("10.0.0.1", "10.0.0.2", "10.0.0.1")
    ]
    assert "allow_from" in lines[0]["remedy"]


def test_refusals_of_addresses_without_end_do_not_fill_the_log() -> None:
    clock = Clock()
    admission = Admission(Server(), capacity=1, clock=clock)
    with capture_logs() as lines:
        for number in range(10 * MAX_REMEMBERED):
            admission.arrive(f"2001:db8::{number:x}")
    assert len(lines) == MAX_REMEMBERED
    clock.now += INTERVAL
    with capture_logs() as lines:
        admission.arrive("2001:db8::ffff")
    assert len(lines) == 1


CAPACITY, SHARE = 6, 2
ADDRESSES = ["", "192.0.2.1", "192.0.2.2", "::ffff:192.0.2.2", "2001:db8::1", "198.51.100.1"]


class Arrivals(RuleBasedStateMachine):
    """Connections that come and go; a plain list says what the counts must be."""

    def __init__(self) -> None:
        super().__init__()
        settings = Server(allow_from=("192.0.2.0/24", "2001:db8::/32"), max_connections_per_peer=SHARE)
        self.admission = Admission(settings, CAPACITY, Clock())
        self.peers: list[Peer] = []

    @precondition(lambda self: not self.admission.is_full)
    @rule(address=st.sampled_from(ADDRESSES))
    def arrive(self, address: str) -> None:
        of_address = Counter(peer.overloaded for peer in self.peers if address.endswith(peer.address or "-"))
        inspected = sum(not peer.overloaded for peer in self.peers)
        answer = self.admission.arrive(address)
        if isinstance(answer, Refusal):
            foreign = address == "198.51.100.1"
            assert answer.reason == ("network" if foreign else "connections")
            assert foreign or of_address.total() == 2 * SHARE
            return
        self.peers.append(answer)
        over_share = address != "" and of_address[False] >= SHARE
        assert answer.overloaded == (inspected >= CAPACITY or over_share)

    @precondition(lambda self: self.peers)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        self.admission.leave(self.peers.pop(data.draw(st.integers(0, len(self.peers) - 1))))

    @invariant()
    def counts_are_those_of_the_list(self) -> None:
        assert self.admission.connections == len(self.peers)
        assert self.admission.overloaded == sum(peer.overloaded for peer in self.peers)
        assert self.admission.is_full == (len(self.peers) >= 2 * CAPACITY)
        assert sum(not peer.overloaded for peer in self.peers) <= CAPACITY

    def teardown(self) -> None:
        for peer in self.peers:
            self.admission.leave(peer)
        assert (self.admission.connections, self.admission.overloaded) == (0, 0)
        assert not self.admission._of_address, "an address that has left is remembered"


TestArrivals = Arrivals.TestCase
