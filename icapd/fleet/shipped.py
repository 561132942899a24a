"""Files that come with icapd, copied to where people edit them: kept up to date, but never over an edit."""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

#: Remembers what was written: file name -> SHA-256.
MANIFEST = ".shipped.json"


def refresh(directory: Path, shipped: Mapping[str, bytes]) -> list[str]:
    """Write each file that is missing or still as it was written last; the names of the edited ones, kept."""
    manifest = directory / MANIFEST
    written: dict[str, str] = json.loads(manifest.read_text()) if manifest.exists() else {}
    edited = []
    for name, content in shipped.items():
        file = directory / name
        digest = sha256(content).hexdigest()
        if file.exists() and sha256(file.read_bytes()).hexdigest() not in (digest, written.get(name)):
            edited.append(name)
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        written[name] = digest
    manifest.write_text(json.dumps(written, indent=1))
    return edited
