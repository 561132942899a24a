"""Tags of the known families are spelled one way; every other word is free."""

import pytest

from icapd.policy.tags import misspelled

RIGHT = """owasp-a01 owasp-a10 owasp-api1 owasp-api10 owasp-mcp01 owasp-mcp10 owasp-llm01 pci-dss-3
    pci-dss-8.6 pci-dss-3.4.1 pci-dss-12.10.4.1 gdpr-4 gdpr-99 hipaa-164.514 cwe-89 cwe-1321 capec-66
    secret cloud owaspish gdprs cve-2021-44228 pciture""".split()


@pytest.mark.parametrize("tag", RIGHT)
def test_right_tag(tag: str) -> None:
    assert misspelled(tag) == ""


@pytest.mark.parametrize(
    ("tag", "right"),
    [
        ("owasp-mcp1", "owasp-mcp01"),
        ("OWASP-A3", "owasp-a03"),
        ("owasp-llm010", "owasp-llm10"),
        ("owasp-api01", "owasp-api1"),
        ("owasp_mcp:01", "owasp-mcp01"),
        ("owasp", "something like owasp-a01, -api1, -mcp01 or -llm01"),
        ("owasp-mcp11", "something like owasp-a01, -api1, -mcp01 or -llm01"),
        ("PCI-DSS-3.4.1", "pci-dss-3.4.1"),
        ("pci dss 3.4", "pci-dss-3.4"),
        ("pci-3.4", "something like pci-dss-3.4.1"),
        ("gdpr-art-4", "something like gdpr-4"),
        ("gdpr4", "something like gdpr-4"),
        ("hipaa_164.514", "hipaa-164.514"),
        ("hipaa-45", "something like hipaa-164.514"),
        ("CWE-89", "cwe-89"),
        ("cwe-089", "something like cwe-89"),
        ("capec-0", "something like capec-66"),
    ],
)
def test_misspelled_tag_gets_what_was_probably_meant(tag: str, right: str) -> None:
    assert misspelled(tag) == right
