"""A file of rules in another program's form, whichever it is."""

from pathlib import Path
from typing import Literal

from icapd.policy.importing.from_gitleaks import import_gitleaks
from icapd.policy.importing.outcome import Imported
from icapd.policy.importing.words import import_words

SourceFormat = Literal["gitleaks", "csv", "words"]


def format_of(path: Path) -> SourceFormat:
    """What the file's name says that it is."""
    match path.suffix.lower():
        case ".toml":
            return "gitleaks"
        case ".csv" | ".tsv":
            return "csv"
    return "words"


def import_rules(path: Path, source: SourceFormat, pack: str) -> Imported:
    """The file's rules as those of a pack of that name; PolicyError when it is not what it is said to be."""
    if source == "gitleaks":
        return import_gitleaks(path, pack)
    return import_words(path, pack, table=source == "csv")
