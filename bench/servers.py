"""icapd and its peers: how each is configured, and what it must answer."""

import importlib.util
import os
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from bench import e2guardian
from bench.cases import Case
from bench.compiled import compiled_package
from bench.guide_patterns import PATTERNS
from bench.load import Check, WrongAnswer
from bench.processes import Unavailable, free_port
from bench.wire import Answer

REDACTED = b"[REDACTED]"


@dataclass
class Server(ABC):
    """One server and how to run it. Subclasses say what it is; one object is one running server."""

    #: In tables and for --only.
    name: ClassVar[str]
    #: The paths of its services, by ICAP method.
    paths: ClassVar[dict[str, str]]
    #: Cores that it can use.
    cores: ClassVar[int] = 1
    #: Whether it looks at what it passes on.
    inspects: ClassVar[bool] = False

    directory: Path
    port: int
    #: Set once it runs: also the id of its session, which all of its processes belong to.
    pid: int = 0

    @abstractmethod
    def command(self) -> list[str]:
        """Write its configuration; returns its command line. Raises Unavailable."""

    def environment(self) -> dict[str, str]:
        """Variables that it needs besides ours."""
        return {}

    def check(self, case: Case) -> Check:
        """A function that raises WrongAnswer for any answer but the right one."""
        return Expected(case, self.inspects)

    def takes(self, case: Case) -> bool:
        """Whether it can do this case's job at all."""
        return True

    def extra_headers(self) -> bytes:
        """ICAP header lines that it needs in each RESPMOD."""
        return b""


class Expected:
    """What the answers to one case must be; the first is looked at closely, the others must be like it."""

    def __init__(self, case: Case, inspects: bool) -> None:
        self._case, self._inspects = case, inspects
        self._body: bytes | None = None

    def __call__(self, answer: Answer) -> None:
        if answer.status == 204:
            if self._case.secrets and self._inspects:
                raise WrongAnswer(f"{self._case.name}: passed by 204")
            return
        if answer.status not in (200, 206):
            raise WrongAnswer(f"{self._case.name}: answered by {answer.icap_head[:80]!r}")
        if answer.use_original_body is not None:
            body = answer.body + self._case.body[answer.use_original_body :]
        else:
            body = answer.body
        if body == self._body:
            return
        if self._body is not None:
            raise WrongAnswer(f"{self._case.name}: not always the same body")
        if self._inspects and self._case.secrets:
            self._require_secrets_gone(body)
        elif body != self._case.body:
            raise WrongAnswer(f"{self._case.name}: {len(body)} bytes came back, and not those that were sent")
        self._body = body

    def _require_secrets_gone(self, body: bytes) -> None:
        left = sum(secret in body for secret in self._case.secrets)
        if left or body.count(REDACTED) < len(self._case.secrets):
            raise WrongAnswer(
                f"{self._case.name}: {left} of {len(self._case.secrets)} secrets passed, "
                f"{body.count(REDACTED)} redactions"
            )


class Icapd(Server):
    """icapd as it comes: its full default policy, its audit trail on, `mode = "durable"`."""

    name = "icapd"
    paths: ClassVar = {"REQMOD": "reqmod", "RESPMOD": "respmod"}
    inspects = True
    workers: ClassVar[int] = 1
    engine: ClassVar[str] = "asyncio"

    def command(self) -> list[str]:
        config = self.directory / "icapd.toml"
        config.write_text(
            f'[server]\nlisten = "127.0.0.1:{self.port}"\nhttp_listen = ""\nworkers = {self.workers}\n'
            f'engine = "{self.engine}"\ncontrol = ""\n{self.more_settings()}'
            # The load is a flood of equal findings; traffic is not.
            f"[audit]\ncoalesce_after = 0\n{self.audit_settings()}"
        )
        command = [str(Path(sys.executable).with_name("icapd")), "--config", str(config)]
        subprocess.run([*command, "db", "upgrade"], check=True, capture_output=True)
        return [*command, "serve"]

    def more_settings(self) -> str:
        """Further lines of [server]."""
        return ""

    def audit_settings(self) -> str:
        """Further lines of [audit]."""
        return ""


class IcapdCompiled(Icapd):
    """The same, built with ICAPD_COMPILE=1."""

    name = "icapd compiled"

    def environment(self) -> dict[str, str]:
        return {"PYTHONPATH": str(compiled_package())}


class IcapdTwoWorkers(Icapd):
    """The same on both cores."""

    name = "icapd, 2 workers"
    workers = cores = 2


class IcapdOnPyicap(Icapd):
    """The same behind pyicap's server and threads."""

    name = "icapd on pyicap"
    engine = "pyicap"

    def command(self) -> list[str]:
        if importlib.util.find_spec("icapd.server.pyicap_engine.engine") is None:
            raise Unavailable("this icapd has no pyicap engine")
        if importlib.util.find_spec("pyicap") is None:
            raise Unavailable("pyicap is not installed: pip install -e '.[bench]'")
        return super().command()


class CIcapEcho(Server):
    """c-icap's echo service: inspects nothing, answers previews by 204 or by the body again, by turns."""

    name = "c-icap echo"
    cores = os.cpu_count() or 1
    paths: ClassVar = {"REQMOD": "echo", "RESPMOD": "echo"}
    service: ClassVar = "Service echo srv_echo.so\necho.PreviewSize 4096\n"
    #: One process with threads enough for all connections: so it is at its best.
    concurrency: ClassVar = (
        "StartServers 1\nMaxServers 1\nThreadsPerChild 30\nMinSpareThreads 1\nMaxSpareThreads 30\n"
    )

    def command(self) -> list[str]:
        modules = next(Path("/usr/lib").glob("*/c_icap"), None)
        if modules is None or shutil.which("c-icap") is None:
            raise Unavailable("c-icap is not installed: apt-get install c-icap")
        self.require_module(modules)
        config = self.directory / "c-icap.conf"
        config.write_text(
            f"Port 127.0.0.1:{self.port}\nPidFile {self.directory}/c-icap.pid\n"
            f"CommandsSocket {self.directory}/c-icap.ctl\nTmpDir {self.directory}\n"
            f"ModulesDir {modules}\nServicesDir {modules}\nTemplateDir /usr/share/c_icap/templates\n"
            f"ServerLog {self.directory}/c-icap-server.log\n"
            f"{self.concurrency}MaxKeepAliveRequests -1\nTimeout 60\nKeepAliveTimeout 60\n"
            "MaxMemObject 4194304\n" + self.service
        )
        return ["c-icap", "-N", "-f", str(config)]

    def require_module(self, modules: Path) -> None:
        """Raises Unavailable when the service's module is not there."""


class CIcapContentFiltering(CIcapEcho):
    """c-icap's srv_content_filtering with 8 of the guide's patterns, replacing what they find."""

    name = "c-icap content filtering"
    paths: ClassVar = {"REQMOD": "filter", "RESPMOD": "filter"}
    inspects = True
    #: Processes of one thread each. With threads its matches mix: of 2,700 answers to four connections at a
    #: time two held all five secrets, and 65 another one's redactions (0.5.10 with the module's 0.5.5).
    concurrency = "StartServers 12\nMaxServers 12\nThreadsPerChild 1\nMinSpareThreads 1\nMaxSpareThreads 12\n"

    def require_module(self, modules: Path) -> None:
        if not (modules / "srv_content_filtering.so").exists():
            raise Unavailable("its module is not installed: apt-get install libc-icap-mod-contentfiltering")

    @property
    def service(self) -> str:  # type: ignore[override]
        # It scores bodies, and acts on a score; `replace` puts the text of the `info` tag where a match was.
        lines = ["Service filter srv_content_filtering.so", "srv_content_filtering.MaxBodyData 4M"]
        lines += ["acl everyone src 127.0.0.0/255.0.0.0"]
        lines += [
            f"srv_content_filtering.Match Guide body /{pattern}/ig score=1 info{{text}}=[REDACTED]"
            for pattern in PATTERNS
        ]
        lines += ["srv_content_filtering.Profile guide replace score{Guide>0} replaceInfo=text"]
        # Otherwise it looks at text/* and application/javascript only; the default profile takes no options.
        lines += ["srv_content_filtering.ProfileOption guide AnyContentType"]
        lines += ["srv_content_filtering.ProfileAccess guide everyone"]
        return "\n".join([*lines, "filter.PreviewSize 4096\n"])


class E2guardian(Server):
    """e2guardian's ICAP mode; `bench.e2guardian` tells what it can and can't do."""

    name = "e2guardian"
    cores = os.cpu_count() or 1
    paths: ClassVar = {"REQMOD": "request", "RESPMOD": "response"}
    inspects = True

    def command(self) -> list[str]:
        if shutil.which("e2guardian") is None:
            raise Unavailable("it is not installed: apt-get install e2guardian")
        e2guardian.configure(self.directory, self.port, unused_port=free_port())
        return ["e2guardian", "-N", "-c", str(self.directory / "etc" / "e2guardian.conf")]

    def takes(self, case: Case) -> bool:
        # JSON and JavaScript pass it unseen, whatever the lists say.
        return case.method == "REQMOD" or "HTML" in case.name

    def extra_headers(self) -> bytes:
        return e2guardian.classification(self.port)


class Pyicap(Server):
    """pyicap 1.0b1, mended so that it runs at all, with threads; answers 204, or echoes."""

    name = "pyicap"
    paths: ClassVar = {"REQMOD": "echo", "RESPMOD": "echo"}

    def command(self) -> list[str]:
        if importlib.util.find_spec("pyicap") is None:
            raise Unavailable("it is not installed: pip install -e '.[bench]'")
        return [sys.executable, "-m", "bench.pyicap_peer", str(self.port)]


class BareFloor(Server):
    """The floor's Protocol without its engine."""

    name = "bare asyncio"
    paths: ClassVar = {"REQMOD": "floor", "RESPMOD": "floor"}
    arguments: ClassVar[tuple[str, ...]] = ()

    def command(self) -> list[str]:
        if importlib.util.find_spec("hyperscan") is None:
            raise Unavailable("hyperscan is not installed: pip install -e '.[bench]'")
        return [sys.executable, "-m", "bench.floor", str(self.port), *self.arguments]


class Floor(BareFloor):
    """The floor: the bare Protocol, and each body once through hyperscan."""

    name = "floor"
    arguments: ClassVar = ("--engine",)


#: In the order of the tables.
SERVERS: tuple[type[Server], ...] = (
    Icapd,
    IcapdCompiled,
    IcapdTwoWorkers,
    IcapdOnPyicap,
    CIcapEcho,
    CIcapContentFiltering,
    E2guardian,
    Pyicap,
    BareFloor,
    Floor,
)
