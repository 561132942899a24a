"""Addresses of clients as options of commands."""

import ipaddress

import click


def address(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
    """The callback of an option: the address in the one form in which records and policies have it."""
    if not text:
        return text
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        example = "write one such as 192.0.2.7 or 2001:db8::7"
        raise click.BadParameter(f"{text!a} is no address; {example}") from None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found)
