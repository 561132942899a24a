"""8 patterns of the guide that icapd began with, for the peers that take patterns.

Of its eleven these are all but the two on SQL, which match an apostrophe or the word `update`, and the one on
40 characters of base64, which matches any long word: with them there would be no clean body.
"""

PATTERNS = (
    r"<script[^>]*>.*?<\/script>",
    r"""(password|token|key)\s*[:=]\s*["']([^"']+)["']""",
    r"(eval|exec|system|shell_exec)\s*\(",
    r"<!DOCTYPE.*?ENTITY",
    r"""SYSTEM\s+["'][^"']+["']""",
    r"""PUBLIC\s+["'][^"']+["']""",
    r"""(api[_-]?key|token|password|secret)\s*[:=]\s*["']([^"']+)["']""",
    r"-----BEGIN\s+(RSA\s+)?PRIVATE\s+KEY-----",
)
