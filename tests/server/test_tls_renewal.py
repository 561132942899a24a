"""What becomes of the ICAPS listener's context when its files change."""

import shutil
import socket
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import trustme
from structlog.testing import capture_logs
from support.tls_ends import assert_talk, client_context, close, connect
from support.tls_settings import FAULTS, HOST, Clock, renew, spoil_key, with_client_ca, write_certificate

from icapd.server.listening.tls import STAT_INTERVAL, TlsContext
from icapd.settings import Tls


def test_new_connections_see_a_renewed_certificate_and_an_old_one_goes_on(
    tmp_path: Path, ca: trustme.CA
) -> None:
    settings, clock = write_certificate(tmp_path, ca), Clock()
    tls, client = TlsContext(settings, clock), client_context(ca)
    old = connect(tls.current(), client)
    renew(tmp_path, settings, ca)
    # Within the interval nobody looks at the files.
    context = tls.current()
    clock.now += STAT_INTERVAL
    assert tls.current() is not context
    new = connect(tls.current(), client)
    assert new[1].getpeercert(binary_form=True) != old[1].getpeercert(binary_form=True)
    for ends in (old, new):
        assert_talk(ends)
        close(ends)


@pytest.mark.parametrize(("spoil", "message"), FAULTS)
def test_broken_replacement_keeps_the_old_certificate_and_says_so_once(
    tmp_path: Path, ca: trustme.CA, spoil: Callable[[Tls], None], message: str
) -> None:
    settings, clock = with_client_ca(write_certificate(tmp_path, ca), tmp_path, ca), Clock()
    tls = TlsContext(settings, clock)
    context = tls.current()
    spoil(settings)
    with capture_logs() as lines:
        for _ in range(3):
            clock.now += STAT_INTERVAL
            assert tls.current() is context
    (line,) = lines
    assert line["event"] == "tls-reload-refused"
    assert line["problem"].startswith(message.partition(":")[0])
    if Path(settings.key).is_dir():
        Path(settings.key).rmdir()
    renew(tmp_path, settings, ca)
    Path(settings.client_ca).write_bytes(ca.cert_pem.bytes())
    clock.now += STAT_INTERVAL
    assert tls.current() is not context
    close(connect(tls.current(), client_context(ca, ca)))


def test_certificate_renewed_before_its_key_is_taken_once_both_are_there(
    tmp_path: Path, ca: trustme.CA
) -> None:
    settings, clock = write_certificate(tmp_path, ca), Clock()
    tls = TlsContext(settings, clock)
    context = tls.current()
    (new := tmp_path / "new").mkdir()
    fresh = write_certificate(new, ca)
    shutil.move(fresh.certificate, settings.certificate)
    clock.now += STAT_INTERVAL
    assert tls.current() is context
    shutil.move(fresh.key, settings.key)
    clock.now += STAT_INTERVAL
    close(connect(tls.current(), client_context(ca)))
    assert tls.current() is not context


def test_reload_does_not_wait_for_the_interval(tmp_path: Path, ca: trustme.CA) -> None:
    settings = write_certificate(tmp_path, ca)
    tls = TlsContext(settings, Clock())
    context = tls.current()
    assert tls.reload() is None
    assert tls.current() is not context
    spoil_key(settings)
    assert "tls.key" in (tls.reload() or "")


def test_client_of_a_ca_that_was_withdrawn_does_not_return_by_its_session(
    tmp_path: Path, ca: trustme.CA, stranger: trustme.CA
) -> None:
    settings, clock = with_client_ca(write_certificate(tmp_path, ca), tmp_path, ca), Clock()
    tls, client = TlsContext(settings, clock), client_context(ca, ca)
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    ends = connect(tls.current(), client)
    session = ends[1].session
    close(ends)
    with_client_ca(settings, tmp_path, stranger)
    clock.now += STAT_INTERVAL
    ours, theirs = socket.socketpair()
    with ours, theirs, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(tls.current().wrap_socket, ours, server_side=True)
        with pytest.raises(ssl.SSLError):
            client.wrap_socket(theirs, server_hostname=HOST, session=session)
        assert isinstance(answer.exception(), ssl.SSLCertVerificationError)
