"""Other programs' rules, made into packs: gitleaks configurations and lists of words."""

from icapd.policy.importing.outcome import Imported, LeftOut
from icapd.policy.importing.reading import SourceFormat, format_of, import_rules

__all__ = ["Imported", "LeftOut", "SourceFormat", "format_of", "import_rules"]
