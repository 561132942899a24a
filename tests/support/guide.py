"""The oracle for the guide pack: the guide's two classes, written from its text, and inputs for them."""

import re
from collections.abc import Sequence

from hypothesis import strategies as st

BLOCKED_PATTERNS = [
    r"<script[^>]*>.*?</script>",
    r'(password|token|key)\s*[:=]\s*["\']([^"\']+)["\']',
    r"(eval|exec|system|shell_exec)\s*\(",
]
SUSPICIOUS_HEADERS = ["X-Forwarded-For", "X-Real-IP", "X-Originating-IP"]
SQL_PATTERNS = [
    r"('|(\\'))|(--|#|\\/\\*)",
    r"(union|select|insert|update|delete|drop|create|alter|exec|execute)",
]
XXE_PATTERNS = [r"<!DOCTYPE.*?ENTITY", r"SYSTEM\s+[\"'][^\"']+[\"']", r"PUBLIC\s+[\"'][^\"']+[\"']"]
SENSITIVE_PATTERNS = [
    r'(api[_-]?key|token|password|secret)\s*[:=]\s*["\']([^"\']+)["\']',
    r"-----BEGIN\s+(RSA\s+)?PRIVATE\s+KEY-----",
    r"[A-Za-z0-9+/]{40,}={0,2}",
]
BLOCKED_CONTENT_TYPES = ["application/x-executable", "application/x-msdownload", "application/octet-stream"]
MAX_CHARACTERS = 10 * 1024 * 1024


def any_found(patterns: Sequence[str], text: str) -> bool:
    return any(re.search(pattern, text, re.IGNORECASE) for pattern in patterns)


def inspect_request(headers: dict[str, str], body: str) -> int:
    """How many issues ContentInspector.inspect_request reports."""
    issues = sum(header in headers for header in SUSPICIOUS_HEADERS)
    if body:
        issues += sum(any_found([pattern], body) for pattern in BLOCKED_PATTERNS)
        issues += any_found(SQL_PATTERNS, body) + any_found(XXE_PATTERNS, body)
    return issues


def filter_response(headers: dict[str, str], body: str) -> tuple[int, str]:
    """How many issues ResponseFilter.filter_response reports, and its filtered body."""
    content_type = headers.get("Content-Type", "").lower()
    issues = sum(blocked in content_type for blocked in BLOCKED_CONTENT_TYPES)
    if body:
        issues += sum(any_found([pattern], body) for pattern in SENSITIVE_PATTERNS)
    issues += len(body) > MAX_CHARACTERS
    filtered = body
    if issues:
        for pattern in SENSITIVE_PATTERNS:
            filtered = re.sub(pattern, "[REDACTED]", filtered, flags=re.IGNORECASE)
    return issues, filtered


# Pieces of what the patterns look for, and the characters in which `re` and `regex` could differ: the long s
# U+017F, the Kelvin sign U+212A, the i without its dot U+0131 and with it U+0130.
PIECES = """<script > </script> </\u017fcript> password token key \u212aey secret api api_ - _ : = " ' \\ / *
    -- # ( eval exec shell_ system SYSTEM PUBLIC PUBL\u0131C <!DOCTYPE ENTITY ENT\u0130TY union selec t insert
    \u0131nsert delete create alter -----BEGIN RSA PRIVATE KEY----- BEG\u0130N == = A+/z \u017f\u212a
    [REDACTED]""".split()
SEPARATORS = list(
    " \t\n\r\v\f\x00\x1b\x1c\x1d\x1e\x1f\x7f\x85\xa0\u1680\u180e\u2003\u200b\u2028\u2029\u202f\u3000"
)
BASE64 = ["A" * 39, "b" * 40, "+/0\u017f\u212a\u0131\u01309" * 5]
ANYTHING = st.text(st.characters(exclude_categories=()), max_size=4)
TEXTS = st.lists(st.sampled_from(PIECES + SEPARATORS + BASE64) | ANYTHING, max_size=12).map("".join)
HEADERS = st.dictionaries(
    st.sampled_from(
        [*SUSPICIOUS_HEADERS, "x-real-ip", "X-REAL-IP", "Content-Type", "content-type", "Accept"]
    ),
    st.lists(
        st.sampled_from([*BLOCKED_CONTENT_TYPES, "APPLICATION/", "octet-\u017ftream", "; "]) | ANYTHING,
        max_size=3,
    ).map("".join),
)
