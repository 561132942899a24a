"""The tags that reports count on: how each family of them is spelled. Every other tag is a free word."""

import regex

# OWASP Top 10 (2021), API Security Top 10, MCP Top 10, Top 10 for LLM applications; PCI DSS by requirement;
# the GDPR's articles; 45 CFR by section, where HIPAA stands; MITRE's CWE and CAPEC by number.
_FAMILIES: tuple[tuple[str, str, str], ...] = (
    # What a tag of the family begins with, what it must be, and how to say that.
    (
        r"owasp",
        r"owasp-(?:a|mcp|llm)(?:0[1-9]|10)|owasp-api(?:[1-9]|10)",
        "owasp-a01, -api1, -mcp01 or -llm01",
    ),
    (r"pci", r"pci-dss-[1-9][0-9]?(?:\.[1-9][0-9]?){0,3}", "pci-dss-3.4.1"),
    (r"gdpr", r"gdpr-[1-9][0-9]?", "gdpr-4"),
    (r"hipaa", r"hipaa-16[0-4]\.[1-9][0-9]{2}", "hipaa-164.514"),
    (r"cwe", r"cwe-[1-9][0-9]{0,4}", "cwe-89"),
    (r"capec", r"capec-[1-9][0-9]{0,4}", "capec-66"),
)
_COMPILED = tuple(
    (regex.compile(rf"{begin}(?![a-z])", regex.IGNORECASE), regex.compile(tag), example)
    for begin, tag, example in _FAMILIES
)
_OWASP_NUMBER = regex.compile(
    r"owasp[-_ ]?(?P<list>api|a|mcp|llm)[-_ :]?0*(?P<number>[1-9]|10)", regex.IGNORECASE
)


def misspelled(tag: str) -> str:
    """What to write in the place of a tag of a known family; "" when nothing is wrong with it."""
    for begin, right, example in _COMPILED:
        if begin.match(tag) and not right.fullmatch(tag):
            meant = _meant(tag)
            return meant if meant and right.fullmatch(meant) else f"something like {example}"
    return ""


def _meant(tag: str) -> str:
    owasp = _OWASP_NUMBER.fullmatch(tag)
    if owasp is None:
        return regex.sub(r"[_ :]+", "-", tag.lower())
    number = int(owasp["number"])
    kind = owasp["list"].lower()
    return f"owasp-{kind}{number}" if kind == "api" else f"owasp-{kind}{number:02}"
