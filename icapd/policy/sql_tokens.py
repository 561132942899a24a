"""The words and signs of SQL: MySQL, PostgreSQL, SQL Server, Oracle and SQLite together."""

import enum
from collections.abc import Iterator
from typing import NamedTuple

import regex


class Kind(enum.Enum):
    """What a token does in a statement."""

    NUMBER = enum.auto()
    STRING = enum.auto()
    #: A string that the value does not close: the statement around it does.
    OPEN_STRING = enum.auto()
    #: A constant such as NULL, or a variable.
    CONSTANT = enum.auto()
    WORD = enum.auto()
    #: The name of a function, in front of its bracket.
    CALL = enum.auto()
    #: AND, OR and their like.
    LOGIC = enum.auto()
    COMPARISON = enum.auto()
    ARITHMETIC = enum.auto()
    #: What stands in front of an operand: NOT, !, DISTINCT.
    PREFIX = enum.auto()
    #: UNION and its like.
    UNION = enum.auto()
    SELECT = enum.auto()
    #: What begins a further part of a statement: FROM, WHERE, ORDER BY.
    CLAUSE = enum.auto()
    #: What may stand behind an operand and changes nothing: ASC, IS NULL, a cast.
    SUFFIX = enum.auto()
    CASE = enum.auto()
    END = enum.auto()
    #: The beginning of a further statement, with what must come next in it.
    STATEMENT = enum.auto()
    OPEN = enum.auto()
    CLOSE = enum.auto()
    COMMA = enum.auto()
    SEMICOLON = enum.auto()
    #: From here to the end nothing counts.
    COMMENT = enum.auto()
    #: No sign of SQL.
    OTHER = enum.auto()


class Token(NamedTuple):
    kind: Kind
    text: bytes


# Blanks of all databases, comments that are closed, and the marks around MySQL's conditional code.
_BLANK = rb"[\s\x00\xa0]|/\*!\d{0,6}|/\*(?!!)[^*]*+\*++(?:[^*/][^*]*+\*++)*+/|\*/"
_GAP = rb"(?:" + _BLANK + rb")++"
_NAME = rb"(?:[a-z_\x80-\xff][\w$\x80-\xff]*+|`[^`]*+`|\[[\w\x20]++\])"
_WORD = _NAME + rb"(?:\s*+\.{1,2}+\s*+(?:" + _NAME + rb"|\*))*+"
#: The end of a word that is no longer one.
_END = rb"(?![\w$])"


def _any(*alternatives: bytes) -> bytes:
    """One of these; a blank stands for any gap."""
    return b"|".join(alternatives).replace(b" ", _GAP)


# In the order in which they are tried.
_PATTERNS: tuple[tuple[Kind, bytes], ...] = (
    (Kind.COMMENT, rb"--(?![\d(])|--(?=\d*+\Z)|\#|/\*(?!!)|;?+%00"),
    (
        Kind.STATEMENT,
        _any(
            rb"(?:drop|alter|truncate|create|rename) (?:table|database|schema|view|index|user|login|role)\b",
            rb"(?:drop|alter|create) (?:procedure|function|trigger|column|event|or\b|temp)\b",
            rb"delete from\b",
            rb"(?:insert|replace|merge) into\b",
            rb"update [\w.`\"\[\]]++ set\b",
            rb"exec(?:ute)?(?: (?:xp_|sp_|master|immediate|@|\w++\.\.?+\w|[(']|char)|\s*+\()",
            rb"declare @",
            rb"waitfor (?:delay|time)\b",
            rb"shutdown\b",
            rb"set @",
            rb"copy \w++ (?:from|to)\b",
            rb"load data\b",
            rb"grant \w++",
            rb"handler \S++ open\b",
            rb"call \w++(?:\.\w++)*+\s*+\(",
            rb"attach database\b",
            rb"begin (?:declare\b|\w++\.\w)",
            rb"do \w++\s*+\(",
            rb"if \S",
            rb"kill \d",
            rb"backup database\b",
            rb"vacuum\b",
            rb"print [\d@']",
            rb"use \w++\s*+\Z",
        ),
    ),
    (Kind.LOGIC, rb"(?:and|or|xor)" + _END + rb"|\|\||&&"),
    (
        Kind.SUFFIX,
        _any(
            rb"is (?:not )?+(?:null|true|false|unknown|json)\b",
            rb"(?:isnull|notnull)\b",
            rb"(?:asc|desc)" + _END,
            rb"::\w++",
            rb"collate \w++",
            rb"nulls (?:first|last)\b",
            rb"for update\b",
            rb"as [\w`]++(?:\(\d++\))?+",
            rb"at time zone\b",
            rb"with rollup\b",
            rb"using \w++",
        ),
    ),
    (
        Kind.COMPARISON,
        _any(
            rb"(?:not )?+(?:like|ilike|rlike|regexp|between|in|glob|match|similar to|sounds like)" + _END,
            rb"is (?:not\b)?+(?: distinct from\b)?+",
            rb"member of\b",
            rb"escape" + _END,
            rb"<=>|<>|!=|[<>]=?+(?![<>])|={1,3}+|@>|<@|!~\*?+|~\*|->>?+|:=",
        ),
    ),
    (
        Kind.CLAUSE,
        _any(
            rb"(?:group|order|partition) by" + _END,
            rb"(?:having|where|limit|offset|from|on|fetch|when|then|else|procedure)" + _END,
            rb"(?:natural )?+(?:(?:left|right|full|inner|outer|cross) ){0,2}+join" + _END,
            rb"into (?:out|dump)file\b",
            rb"into(?=\s*+@)",
        ),
    ),
    (
        Kind.UNION,
        _any(
            rb"(?:union|except|intersect|minus)"
            + _END
            + rb"(?: (?:all|distinctrow|distinct)"
            + _END
            + rb")?+"
        ),
    ),
    (Kind.SELECT, _any(rb"select" + _END + rb"(?: (?:all|distinct|top \d++)" + _END + rb")?+")),
    (Kind.CASE, _any(rb"case" + _END + rb"(?: when" + _END + rb")?+")),
    (Kind.END, rb"end" + _END),
    (Kind.PREFIX, rb"(?:not|distinct|binary|all|any|some|exists|interval|prior|new)" + _END + rb"|!"),
    (
        Kind.CONSTANT,
        rb"(?:null|true|false|current_user|current_date|sysdate|rownum)(?![\w$(])|@{1,2}+[\w$.`]++|\\N|:\w++",
    ),
    (Kind.ARITHMETIC, rb"(?:div|mod)" + _END + rb"|<<|>>|[-+*/%^|&~]"),
    (
        Kind.NUMBER,
        rb"0x[0-9a-f]++|0b[01]++(?!\w)|[xb]'[0-9a-f]*+'|(?:\d++\.?+\d*+|\.\d++)(?:e[-+]?+\d*+)?+" + _END,
    ),
    (
        Kind.STRING,
        rb"[nexb]?+'(?:[^'\\]|\\.|'')*+'|[en]?+\"(?:[^\"\\]|\\.|\"\")*+\"|\$\w*+\$[^$]*+\$\w*+\$",
    ),
    (Kind.OPEN_STRING, rb"'[^']*+\Z|\"[^\"]*+\Z|`[^`]*+\Z"),
    (Kind.CALL, _WORD + rb"(?=(?:" + _GAP + rb")?+\()"),
    (Kind.WORD, _WORD),
    (Kind.OPEN, rb"\("),
    (Kind.CLOSE, rb"\)"),
    (Kind.COMMA, rb","),
    (Kind.SEMICOLON, rb";"),
)
_KINDS = {f"k{number}": kind for number, (kind, _) in enumerate(_PATTERNS)}
_TOKEN = regex.compile(
    b"|".join(b"(?P<k%d>%s)" % (number, pattern) for number, (_, pattern) in enumerate(_PATTERNS)),
    regex.IGNORECASE | regex.DOTALL,
)
_BLANKS = regex.compile(_GAP, regex.DOTALL)


def tokens(text: bytes, start: int) -> Iterator[Token]:
    """The tokens from there on; the last is the first that is none of SQL or begins a comment."""
    position, kind = start, None
    while kind not in (Kind.OTHER, Kind.COMMENT):
        blank = _BLANKS.match(text, position)
        if blank is not None:
            position = blank.end()
        if position >= len(text):
            return
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            kind, found = Kind.OTHER, text[position : position + 1]
        else:
            kind, found, position = _KINDS[match.lastgroup], match[0].lower(), match.end()
        yield Token(kind, found)
