"""e2guardian's ICAP mode: its configuration, and what it can't do.

It takes part as far as it goes (version 5.3.5 of Debian 12):

- RESPMOD alone is not supported: each needs the X-ICAP-E2G header that e2guardian gave in the REQMOD
  before it, which Squid hands on (`adaptation_masterx_shared_names X-ICAP-E2G`); here it is fetched once.
- It has no preview: Squid sends it every body whole, and larger ones on a connection each.
- It looks at text/*, not at application/json or application/javascript: those pass unseen.
- Patterns for bodies are `contentregexplist`: replaced, never blocked or counted; what was found is not told.
"""

import re
import shutil
import socket
from pathlib import Path

from bench.cases import REQUEST
from bench.guide_patterns import PATTERNS

_INSTALLED = Path("/etc/e2guardian")


def configure(directory: Path, port: int, unused_port: int) -> None:
    """A copy of Debian's configuration that listens on `port` for ICAP and replaces by the guide's patterns.

    The directory's name must be in lower case: e2guardian folds the case of the paths in its lists.

    `unused_port`: for the HTTP proxy that it is as well.
    """
    shutil.copytree(_INSTALLED, directory / "etc", dirs_exist_ok=True)
    etc = directory / "etc"
    for file in etc.rglob("*"):
        if file.is_file():
            text = file.read_text("latin-1").replace(str(_INSTALLED), str(etc))
            file.write_text(text, "latin-1")
    main = (etc / "e2guardian.conf").read_text("latin-1")
    main += (
        f"\nicapport = {port}\nfilterports = {unused_port}\ntransparenthttpsport = 0\nhttpworkers = 20\n"
        f"loglocation = '{directory}/access.log'\npidfilename = '{directory}/e2guardian.pid'\n"
    )
    for name in ("filterports", "transparenthttpsport", "httpworkers"):
        # The first mention counts: Debian's own goes.
        main = re.sub(rf"(?m)^ *{name} *=.*$", "", main, count=1)
    (etc / "e2guardian.conf").write_text(main, "latin-1")
    rules = "".join(f'"{pattern}"->"[REDACTED]"\n' for pattern in PATTERNS)
    (etc / "lists" / "contentregexplist").write_text(rules)
    for path in (directory, etc):
        # It gives up root for a user of its own.
        path.chmod(0o755)
    shutil.chown(directory, "e2guardian", "e2guardian")


def classification(port: int) -> bytes:
    """The X-ICAP-E2G line for the RESPMODs, from a REQMOD of the same request."""
    head = (
        b"REQMOD icap://127.0.0.1:%d/request ICAP/1.0\r\nHost: 127.0.0.1:%d\r\nAllow: 204\r\n"
        b"X-Client-IP: 127.0.0.1\r\nEncapsulated: req-hdr=0, null-body=%d\r\n\r\n"
        % (port, port, len(REQUEST))
    )
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(head + REQUEST)
        answer = connection.recv(65536)
    line = re.search(rb"(?im)^X-ICAP-E2G:.*\r\n", answer)
    if line is None:
        raise RuntimeError(f"e2guardian gives no X-ICAP-E2G: {answer[:200]!r}")
    return line[0]
