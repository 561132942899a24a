"""Responses with nothing in them to take out: what APIs, registries, forges and web pages answer all day.

Half of them are files of the Python packages that are installed here; the rest is made up from these and
from a fixed seed. Random values stand where real answers have them: digests, ids, signatures, page tokens.
"""

import random
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.evaluation import harmless_data as data
from bench.evaluation import harmless_texts as texts
from bench.evaluation.case import Case, response
from bench.evaluation.draw import Draw
from bench.evaluation.files import files_under, responses

#: Files of one ending that are taken from what is installed.
_OF_ONE_SORT = 40
#: Documents of each generated family.
_DOCUMENTS = 25

Maker = Callable[[Draw, str], str]


def cases() -> Iterator[Case]:
    """The same in every run with the same packages installed."""
    root = Path(sysconfig.get_path("purelib"))
    by_ending: dict[str, list[Path]] = {}
    for path in files_under(root):
        if "__pycache__" not in path.parts:
            by_ending.setdefault(path.suffix, []).append(path)
    for ending, paths in sorted(by_ending.items()):
        step = max(1, len(paths) // _OF_ONE_SORT)
        yield from responses(f"files {ending or 'without ending'}", paths[::step], root)
    sources = [path.read_text("utf-8", "replace")[:6000] for path in by_ending[".py"][::97]]
    for family, (media_type, make) in MAKERS.items():
        chance = random.Random(family)
        draw = Draw(chance)
        for _ in range(_DOCUMENTS):
            yield response(family, media_type, make(draw, chance.choice(sources)).encode())


#: Generated families: their media type, and what makes one document.
MAKERS: dict[str, tuple[str, Maker]] = {
    "API pages": ("application/json", data.api_page),
    "GraphQL": ("application/json", data.graphql),
    "OpenAPI": ("application/json", data.openapi),
    "MCP results": ("application/json", data.mcp_result),
    "LLM chats": ("application/json", data.chat),
    "LLM chats, streamed": ("text/event-stream", data.chat_stream),
    "diffs": ("text/plain", texts.diff),
    "web pages": ("text/html", texts.page),
    "documentation": ("text/markdown", texts.documentation),
    "package-lock.json": ("application/json", data.npm_lock),
    "yarn.lock": ("text/plain", texts.yarn_lock),
    "Cargo.lock": ("text/plain", texts.cargo_lock),
    "go.sum": ("text/plain", texts.go_sum),
    "poetry.lock": ("text/plain", texts.poetry_lock),
    "package metadata": ("application/json", data.package_metadata),
    "SVG": ("image/svg+xml", texts.svg),
    "CSV": ("text/csv", texts.csv),
    "certificates and public keys": ("text/plain", texts.certificate),
    "near misses": ("text/plain", texts.near_misses),
    "links and ids of services": ("text/plain", texts.service_links),
    "logs": ("text/plain", texts.log),
    "images in JSON": ("application/json", data.image_in_json),
    "source maps": ("application/json", data.source_map),
    "JWKS": ("application/json", data.jwks),
    "listings of git objects": ("text/plain", texts.tree),
    "translations": ("application/json", data.translations),
    "test vectors": ("text/plain", texts.vectors),
    "container manifests": ("application/json", data.registry_manifest),
    "cloud resources": ("application/json", data.objects),
}
