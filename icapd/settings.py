"""What can be set: each section of icapd.toml is a struct, each field a key with its default."""

import ipaddress
import re
from typing import Literal

import msgspec

from icapd.errors import ConfigurationError

KiB = 1024
MiB = 1024 * KiB

FailMode = Literal["open", "closed"]

#: Of one message. `icapd audit verify` holds those of one in memory, and refuses more.
MOST_FINDINGS = 10_000

LOOPBACK = ("127.0.0.0/8", "::1/128")


class Server(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[server]: where icapd listens, and how much it takes on."""

    #: ICAP listener, HOST:PORT; "" turns it off.
    listen: str = "127.0.0.1:1344"
    #: ICAPS listener (TLS), HOST:PORT; "" turns it off. Its certificate is in [tls]; 11344 is the usual port.
    listen_tls: str = ""
    #: Path of a Unix socket that speaks ICAP, for clients of this machine that can use it (Squid can't); ""
    #: turns it off.
    listen_unix: str = ""
    #: /healthz, /readyz and /metrics, HOST:PORT; "" turns them off.
    http_listen: str = "127.0.0.1:9344"
    #: Path of the Unix socket of `icapd reload`, `icapd restart` and `icapd status`; "" turns it off.
    control: str = "icapd.sock"
    #: Processes that serve; 0: one for each CPU that icapd may run on.
    workers: int = 0
    #: What carries the bytes: `asyncio`, or threads behind `pyicap`'s server.
    engine: Literal["asyncio", "pyicap"] = "asyncio"
    #: Networks that may connect, besides those of the Unix socket. The default admits this machine only.
    allow_from: tuple[str, ...] = LOOPBACK
    #: Networks whose X-Client-IP, user and group headers are believed; `unix` means the Unix socket.
    trust_identity_from: tuple[str, ...] = (*LOOPBACK, "unix")
    #: Connections at one time whose traffic is inspected, in all workers; OPTIONS tells Squid a third of it
    #: as Max-Connections of each service. Up to as many more meet the services' fail mode, the rest wait.
    max_connections: int = 1000
    #: Of them, connections of one address; 0: as many as there are. Useful where several Squids share icapd.
    max_connections_per_peer: int = 0
    #: Seconds from the start of a connection to its first byte, the TLS handshake included.
    first_byte_timeout: float = 30.0
    #: Seconds a connection may stay silent between two requests. Squid closes its own after 60, so that it
    #: is Squid that closes and no request is lost in between.
    idle_timeout: float = 90.0
    #: Seconds within which a request's head must arrive once its first byte has.
    head_timeout: float = 30.0
    #: Seconds without a byte in either direction in the middle of a request. Squid stops reading while its
    #: own client is slow, and event streams are silent for long: minutes, not seconds.
    stall_timeout: float = 900.0
    #: Seconds for which the rest of a request is read behind its answer before the connection is closed.
    drain_timeout: float = 30.0
    #: Seconds that bytes may wait for their turn in a worker; requests that begin later meet the fail mode.
    max_queue_delay: float = 2.0
    #: Seconds that requests under way get at a stop or a restart.
    shutdown_timeout: float = 20.0
    #: Take requests without Host, and previews that end as in RFC 3507's own example (errata e9).
    tolerant: bool = False


class Tls(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[tls]: the certificates of the ICAPS listener. Changed files are taken by new connections."""

    #: File of our certificate and its chain, PEM.
    certificate: str = ""
    #: File of its private key, PEM; "" means that it is in the certificate's file.
    key: str = ""
    #: File of the authorities whose client certificates are taken, PEM; "" asks for none.
    client_ca: str = ""
    #: Whether a client must show a certificate, where `client_ca` is set.
    require_client_certificate: bool = True
    #: Oldest version of TLS.
    minimum_version: Literal["1.2", "1.3"] = "1.2"


class PolicySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[policy]: where the rules are."""

    #: The directory of policy.toml and the packs; "" means those that came with icapd.
    directory: str = ""
    #: Take changed files of that directory by themselves, once they are whole and prove right.
    watch: bool = True
    #: The directory of a candidate policy, which judges traffic beside the one in force and changes nothing;
    #: "", or a directory without a policy.toml, means none. `icapd rules shadow` shows what it would do.
    shadow: str = ""
    #: Of the time of one CPU, how much each worker may spend on it.
    shadow_share: float = 0.1


class Audit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[audit]: where the records go."""

    #: SQLAlchemy URL of the database that records are shipped to: SQLite, PostgreSQL or MariaDB.
    database_url: str = "sqlite:///icapd.db"
    #: When a record counts as kept, before its verdict leaves: `durable` on the local disk; `relaxed` with
    #: the kernel, which survives the death of the process but not of the machine; `strict` in the database,
    #: which every verdict then waits for; `off` keeps none.
    mode: Literal["durable", "relaxed", "strict", "off"] = "durable"
    #: Seconds that a record may take to be kept; then its message meets fail_mode.
    patience: float = 5.0
    #: Of the records with findings of one second that are equal but for ids and times, how many have rows of
    #: their own; the rest is one row with their number (`repeats`). 0: all have. `strict` does without.
    coalesce_after: int = 100
    #: Directory of the files that keep records until they are in the database.
    outbox: str = "outbox"
    #: Bytes of all these files together; when they are full, messages meet fail_mode.
    outbox_limit: int = 1024 * MiB
    #: How long a time each partition of the audit tables is for, in PostgreSQL.
    partitions: Literal["month", "day"] = "month"
    #: Days for which records stay in the database of messages in which nothing was found, and about which
    #: nothing was done; 0: for ever. What is older the process that ships purges, once a day.
    retention_allowed: int = 0
    #: The same for all other records, which are evidence; no fewer. PCI DSS 10.5.1 asks for 12 months.
    retention_found: int = 0
    #: The same for what was done to the audit and to the policy; no fewer either.
    retention_admin: int = 0
    #: Directory that gets a Parquet file of what is purged, before it goes; "" for none.
    retention_archive: str = ""
    #: File of the keys for fingerprints of secrets; made at the first start, readable by its owner only.
    fingerprint_key: str = "fingerprint.key"
    #: File of the key that checkpoints are signed with; made at the first start, readable by its owner only.
    signing_key: str = "signing.key"
    #: File that gets a copy of each checkpoint, best on another machine's disk; "" for none.
    anchor_file: str = ""
    #: Syslog that gets one: udp://HOST:PORT or unix:/dev/log; "" for none.
    anchor_syslog: str = ""
    #: URL that one is sent to by POST; "" for none.
    anchor_url: str = ""
    #: What a message gets whose record can't be written: `closed` a block page, `open` its verdict.
    fail_mode: FailMode = "closed"


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[limits]: sizes in bytes, times in seconds."""

    #: An ICAP head. Squid keeps its own within 64 KiB.
    max_icap_head: int = 64 * KiB
    #: An encapsulated HTTP head. Squid's default for both directions is 64 KiB.
    max_http_head: int = 128 * KiB
    #: Fields of one head, ICAP's or HTTP's. Squid's own heads have a dozen, browsers' twenty.
    max_header_fields: int = 256
    #: Bytes of a preview; Squid never sends more than 64 KiB.
    max_preview: int = 64 * KiB
    #: Bytes of one chunk. They are never held together: a size beyond it is a sign of lost framing.
    max_chunk_size: int = 1024 * MiB
    #: Bytes of a chunk-size line with its extensions; Squid sends 24 at most.
    max_chunk_line: int = 4 * KiB
    #: Bytes of all HTTP trailers behind a body; Squid sends none.
    max_trailer: int = 16 * KiB
    #: A request's body up to this size is held back until its verdict; a larger one is inspected as it flows.
    max_buffered_request: int = 1 * MiB
    #: The same for a response's. Debian's Squid 5.7, 6.8 to 6.13 and 7.0.1 read no more than 64 KiB of a
    #: response before ours begins (bug 5352): held back for longer, it hangs.
    max_buffered_response: int = 60 * KiB
    #: Bytes of all bodies together that one worker holds back; beyond it bodies flow whatever their size.
    max_body_memory: int = 256 * MiB
    #: A compressed body may become this large while it is held back; a larger one flows.
    max_decoded_body: int = 4 * MiB
    #: Decoded size over encoded size; beyond it a body is a decompression bomb and is inspected no further.
    max_coding_ratio: int = 200
    #: One server-sent event up to this size is seen whole; a larger one through the window.
    max_event_size: int = 1 * MiB
    #: What may still arrive behind a verdict before the connection is closed.
    max_drain: int = 64 * MiB
    #: Findings kept of one message. Redaction has no such limit.
    max_findings: int = 100
    #: Seconds all rules together may take over one text, and over each MiB of a body that flows.
    scan_timeout: float = 0.2


class Services(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[services]: what becomes of messages that can't be inspected, and what Squid is told."""

    #: Bytes of a body that Squid sends before it waits for a verdict; the smallest answers fit whole.
    preview: int = 32 * KiB
    #: Seconds for which Squid keeps our OPTIONS.
    options_ttl: int = 600
    #: A request that can't be inspected whole: `open` passes it (its audit row says so), `closed` blocks it.
    reqmod_fail_mode: FailMode = "open"
    #: The same for a response.
    respmod_fail_mode: FailMode = "open"
    #: Requests for a part of a resource (`Range`), of which rules would see that part only: `text` has those
    #: ask for all of it that may be for a text, `remove` has every one, `allow` none.
    request_ranges: Literal["allow", "text", "remove"] = "text"
    #: Content codings that a request offers: `readable` leaves those that icapd reads, and takes out offers
    #: of deltas and dictionaries; `allow` leaves all.
    request_codings: Literal["allow", "readable"] = "readable"
    #: Whom a blocked person may ask; stands on the block page.
    contact: str = ""
    #: Name by which `Via: ICAP/1.0 NAME` of changed messages tells who changed them; "" leaves it out.
    via: str = "icapd"
    #: Whether the verdict of a message that flowed is told behind it, to those who allow ICAP trailers. Squid
    #: allows them always and takes nothing from them. When a read of 5.7's ends within the trailer, and the
    #: body before it has not left yet, it reads no more: the transaction never ends, is never logged, and
    #: its connection is lost.
    verdict_trailer: bool = False


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that can be set."""

    server: Server = Server()
    tls: Tls = Tls()
    policy: PolicySettings = PolicySettings()
    audit: Audit = Audit()
    limits: Limits = Limits()
    services: Services = Services()

    def checked(self, source: str) -> "Settings":
        """These settings; ConfigurationError for a value that can't be right."""
        for section, key, problem in self._problems():
            raise ConfigurationError(f"{source}: {section}.{key}: {problem}")
        return self

    @property
    def _sections(self) -> tuple[tuple[msgspec.Struct, str], ...]:
        return (
            (self.server, "server"),
            (self.policy, "policy"),
            (self.audit, "audit"),
            (self.limits, "limits"),
            (self.services, "services"),
        )

    def _problems(self) -> list[tuple[str, str, str]]:
        problems = []
        for section, name in self._sections:
            for key in section.__struct_fields__:
                value = getattr(section, key)
                if key in _MAY_BE_ZERO.get(name, ()):
                    problems += [(name, key, "must be 0 or more")] if value < 0 else []
                elif type(value) in (int, float) and not value > 0:
                    problems.append((name, key, f"must be more than 0, not {value}"))
        for shorter, longer in (("allowed", "found"), ("found", "admin")):
            days = getattr(self.audit, f"retention_{longer}")
            if days and not 0 < getattr(self.audit, f"retention_{shorter}") <= days:
                problem = f"must be at least retention_{shorter}, which has to be set, too"
                problems.append(("audit", f"retention_{longer}", problem))
        if self.policy.shadow_share > 1:
            problems.append(("policy", "shadow_share", "must be at most 1: a whole CPU"))
        if self.services.preview > 64 * KiB:
            problems.append(("services", "preview", "must be at most 65536: Squid previews no more"))
        if self.limits.max_findings > MOST_FINDINGS:
            problems.append(("limits", "max_findings", f"must be at most {MOST_FINDINGS}"))
        for key in ("listen", "listen_tls", "http_listen"):
            value = getattr(self.server, key)
            if value and split_address(value) is None:
                problems.append(("server", key, f"must be HOST:PORT, not {value!r}"))
        if not (self.server.listen or self.server.listen_tls or self.server.listen_unix):
            problem = "nothing is listened on; set this, listen_tls or listen_unix"
            problems.append(("server", "listen", problem))
        for key in ("allow_from", "trust_identity_from"):
            problems += [
                ("server", key, f"must be networks such as 192.0.2.0/24, not {network!r}")
                for network in getattr(self.server, key)
                if not _is_network(network) and (key, network) != ("trust_identity_from", "unix")
            ]
        if self.server.listen_tls and not self.tls.certificate:
            problems.append(("tls", "certificate", "is needed for server.listen_tls"))
        if not _VIA.fullmatch(self.services.via):
            problems.append(("services", "via", "must be letters, digits, `.`, `-` and `_`, or empty"))
        return problems


_MAY_BE_ZERO = {
    "audit": ("coalesce_after", *(f"retention_{name}" for name in ("allowed", "found", "admin"))),
    "server": ("max_connections_per_peer", "workers"),
    "services": ("preview",),
}
_VIA = re.compile(r"[A-Za-z0-9._-]{0,64}")


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


# Labels of a name are at most 63 characters (RFC 1035 section 2.3.4), and none is empty.
_ADDRESS = re.compile(
    r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<host>[\w-]{1,63}(?:\.[\w-]{1,63})*)):(?P<port>[0-9]{1,5})", re.ASCII
)


def split_address(address: str) -> tuple[str, int] | None:
    """HOST:PORT or [IPV6]:PORT taken apart; None when it is neither."""
    match = _ADDRESS.fullmatch(address)
    if match is None or int(match["port"]) > 65535:
        return None
    return match["host"] or match["ipv6"], int(match["port"])
