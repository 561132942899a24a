"""Short values as people and programs write them: phrases.toml, by name."""

import tomllib
from pathlib import Path

_TABLES: dict[str, list[str]] = tomllib.loads(Path(__file__).with_name("phrases.toml").read_text("utf-8"))

PROSE = tuple(_TABLES["prose"])
COMMANDS = tuple(_TABLES["commands"])
STATEMENTS = tuple(_TABLES["statements"])
TEMPLATES = tuple(_TABLES["templates"])
ADDRESSES = tuple(_TABLES["addresses"])
MARKUP = tuple(_TABLES["markup"])
USER_AGENTS = tuple(_TABLES["user_agents"])
COOKIES = tuple(_TABLES["cookies"])
