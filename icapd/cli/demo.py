"""What scripts/run runs once all is installed: the demonstration, with its progress and its curl lines."""

import dataclasses
import sys
from pathlib import Path

import click

from icapd.cli.destinations import allow_destination
from icapd.errors import IcapdError
from icapd.fleet import demo
from icapd.fleet.demo_origin import HOST, LOOPBACK, DemoOrigin
from icapd.fleet.demo_state import DemoOptions, prepare
from icapd.fleet.process import Interrupted, Signals, following
from icapd.fleet.squid_conf import Destination

_WHAT_TO_TRY = """
Try, in another terminal:

  # clean: arrives as it was sent
  {curl} {origin}/clean

  # a secret in the response: arrives as [REDACTED]
  {curl} {origin}/secret

  # an attack in the request: a 403 page instead
  {curl} --data "id=1' UNION SELECT name, password FROM users --" {origin}/echo

  # an event stream, one event a second: each arrives at once, the secret in one of them redacted
  {curl} --no-buffer {origin}/events

  # what the database has of all that
  {icapd} audit search
"""

PORT = click.IntRange(1, 65535)


@click.command(name="scripts/run", context_settings={"show_default": True})
@click.option("--state", type=click.Path(path_type=Path), default=Path("var"), help="Everything it keeps.")
@click.option("--proxy-port", type=PORT, default=3128, help="Squid listens here.")
@click.option("--icap-port", type=PORT, default=1344, help="icapd listens here.")
@click.option("--http-port", type=PORT, default=9344, help="/metrics, /healthz and /readyz.")
@click.option("--workers", type=click.IntRange(1), default=1, help="Processes of icapd.")
@click.option(
    "--origin-ca",
    type=click.Path(path_type=Path, exists=True, dir_okay=False, resolve_path=True),
    help="PEM file: trust a private upstream's CA.",
)
@allow_destination
@click.option("--setup-only", is_flag=True, help="Prepare the state directory and end.")
def main(
    *,
    state: Path,
    proxy_port: int,
    icap_port: int,
    http_port: int,
    workers: int,
    origin_ca: Path | None,
    allowed_destinations: tuple[Destination, ...],
    setup_only: bool,
) -> None:
    """Run Squid with TLS inspection and icapd on loopback until Ctrl-C."""
    options = DemoOptions(
        state=state.resolve(),
        proxy_port=proxy_port,
        icap_port=icap_port,
        http_port=http_port,
        workers=workers,
        origin_cas=(origin_ca,) if origin_ca else (),
        allowed_destinations=allowed_destinations,
    )
    try:
        if setup_only:
            prepare(options, _say)
            _say(f"{_short(options.state)} is prepared")
        else:
            _run(options)
    except Interrupted:
        _say("stopped")
    except IcapdError as error:
        click.echo(f"scripts/run: {error}", err=True)
        sys.exit(error.exit_code)


def _run(options: DemoOptions) -> None:
    demo.require_free_ports(options)
    with Signals() as signals, DemoOrigin() as origin:
        options = _with_origin(options, origin)
        prepare(options, _say)
        with demo.running(options, _say, lambda: signals.stop_requested) as processes:
            _show_what_to_try(options, origin)
            with following([options.log / "icapd.log", options.log / "access.log"]):
                while not signals.stop_requested and not any(process.ended for process in processes):
                    signals.wait()
            for process in processes:
                if process.ended:
                    raise process.obituary()


def _with_origin(options: DemoOptions, origin: DemoOrigin) -> DemoOptions:
    """The options, with the demonstration's own origin trusted and allowed."""
    options.state.mkdir(parents=True, exist_ok=True)
    ca_file = options.state / "demo-origin.pem"
    ca_file.write_bytes(origin.ca_pem)
    return dataclasses.replace(
        options,
        origin_cas=(*options.origin_cas, ca_file),
        allowed_destinations=(*options.allowed_destinations, Destination(HOST, origin.port)),
    )


def _show_what_to_try(options: DemoOptions, origin: DemoOrigin) -> None:
    proxy = f"http://{LOOPBACK}:{options.proxy_port}"
    click.echo(
        _WHAT_TO_TRY.format(
            curl=f"curl --proxy {proxy} --cacert {_short(options.ca_certificate)}",
            origin=f"https://{HOST}:{origin.port}",
            icapd=f"{_short(demo.ICAPD)} --config {_short(options.icapd_toml)}",
        )
    )
    click.echo(
        f"ready: proxy {proxy}, ICAP icap://{LOOPBACK}:{options.icap_port}, "
        f"metrics http://{LOOPBACK}:{options.http_port}/metrics; the logs follow, Ctrl-C stops both"
    )


def _short(path: Path) -> str:
    """As one would type it here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _say(progress: str) -> None:
    click.echo(f"==> {progress}")


if __name__ == "__main__":
    main()
