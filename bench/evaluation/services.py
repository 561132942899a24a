"""The names of services that hand out keys, as vendors.txt lists them."""

from pathlib import Path

SERVICES: tuple[str, ...] = tuple(
    name
    for line in Path(__file__).with_name("vendors.txt").read_text().splitlines()
    if not line.startswith("#")
    for name in line.split()
)
