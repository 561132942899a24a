"""The words and signs of SQL, in the dialects of MySQL, PostgreSQL, SQL Server, Oracle and SQLite together."""

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
_NAME = rb"[a-z_\x80-\xff\#][\w$\x80-\xff\#]*+"

_PART = rb"(?:" + _NAME + rb"|`[^`]*+`|\[[\w ]++\])"
_WORD = _PART + rb"(?:\s*+\.{1,2}+\s*+(?:" + _PART + rb"|\*))*+"

_PATTERNS: tuple[tuple[Kind, bytes], ...] = (
    (Kind.COMMENT, rb"--(?![\d(])|--(?=\d*+\Z)|\#|/\*(?!!)|;?+%00"),
    (
        Kind.STATEMENT,
        rb"(?:drop|alter|truncate|create|rename)" + _GAP + rb"(?:table|database|schema|view|index|user|login|"
        rb"procedure|function|trigger|column|role|event|or\b|temp)\b"
        rb"|delete" + _GAP + rb"from\b|(?:insert|replace|merge)" + _GAP + rb"into\b"
        rb"|update" + _GAP + rb"[\w.`\"\[\]]++" + _GAP + rb"set\b"
        rb"|exec(?:ute)?(?:" + _GAP + rb"(?:xp_|sp_|master|immediate|@|\w++\.\.?+\w|[(']|char)|\s*+\()"
        rb"|declare" + _GAP + rb"@|waitfor" + _GAP + rb"(?:delay|time)\b|shutdown\b|set" + _GAP + rb"@"
        rb"|copy" + _GAP + rb"\w++" + _GAP + rb"(?:from|to)\b|load" + _GAP + rb"data\b|grant" + _GAP + rb"\w++"
        rb"|handler" + _GAP + rb"\S++" + _GAP + rb"open\b|call" + _GAP + rb"\w++\s*+\(|attach" + _GAP + rb"database\b"
        rb"|begin" + _GAP + rb"(?:declare\b|\w++\.\w)|do" + _GAP + rb"\w++\s*+\(|if" + _GAP + rb"\S|kill" + _GAP + rb"\d"
        rb"|backup" + _GAP + rb"database\b|vacuum\b|print" + _GAP + rb"[\d@']|use" + _GAP + rb"\w++\s*+\Z"
        rb"|db\.\w++\.?+\w*+\(",
    ),
    (Kind.LOGIC, rb"(?:and|or|xor)(?![\w$])|\|\||&&"),
    (
        Kind.SUFFIX,
        rb"is" + _GAP + rb"(?:not" + _GAP + rb")?+(?:null|true|false|unknown|json)\b|isnull\b|notnull\b|(?:asc|desc)(?![\w$])"
        rb"|::" + rb"\w++|collate" + _GAP + rb"\w++|nulls" + _GAP + rb"(?:first|last)\b|for" + _GAP + rb"update\b"
        rb"|as" + _GAP + rb"[\w`]++(?:\(\d++\))?+|at" + _GAP + rb"time" + _GAP + rb"zone\b|with" + _GAP + rb"rollup\b"
        rb"|using" + _GAP + rb"\w++",
    ),
    (
        Kind.COMPARISON,
        rb"(?:not" + _GAP + rb")?+(?:like|ilike|rlike|regexp|between|in|glob|match|similar" + _GAP + rb"to|sounds"
        + _GAP + rb"like)(?![\w$])|is" + _GAP + rb"(?:not\b)?+(?:" + _GAP + rb"distinct" + _GAP + rb"from\b)?+|member" + _GAP + rb"of\b|escape(?![\w$])"
        rb"|<=>|<>|!=|[<>]=?+(?![<>])|={1,3}+|@>|<@|!~\*?+|~\*|->>?+|:=",
    ),
    (
        Kind.CLAUSE,
        rb"(?:group|order|partition)" + _GAP + rb"by(?![\w$])|(?:having|where|limit|offset|from|on|fetch|when|then|else)(?![\w$])"
        rb"|(?:natural" + _GAP + rb")?+(?:(?:left|right|full|inner|outer|cross)" + _GAP + rb"){0,2}+join(?![\w$])"
        rb"|into" + _GAP + rb"(?:out|dump)file\b|into(?=\s*+@)|procedure(?![\w$])",
    ),
    (Kind.UNION, rb"(?:union|except|intersect|minus)(?![\w$])(?:" + _GAP + rb"(?:all|distinctrow|distinct)(?![\w$]))?+"),
    (Kind.SELECT, rb"select(?![\w$])(?:" + _GAP + rb"(?:all|distinct|top" + _GAP + rb"\d++)(?![\w$]))?+"),
    (Kind.CASE, rb"case(?![\w$])(?:" + _GAP + rb"when(?![\w$]))?+"),
    (Kind.END, rb"end(?![\w$])"),
    (Kind.PREFIX, rb"(?:not|distinct|binary|all|any|some|exists|interval|prior|new)(?![\w$])|!"),
    (Kind.CONSTANT, rb"(?:null|true|false|current_user|current_date|sysdate|rownum)(?![\w$(])|@{1,2}+[\w$.`]++|\\N|:\w++"),
    (Kind.ARITHMETIC, rb"(?:div|mod)(?![\w$])|<<|>>|[-+*/%^|&~]"),
    (Kind.NUMBER, rb"0x[0-9a-f]++|0b[01]++(?!\w)|[xb]'[0-9a-f]*+'|(?:\d++\.?+\d*+|\.\d++)(?:e[-+]?+\d*+)?+(?![\w$])"),
    (Kind.STRING, rb"[nexb]?+'(?:[^'\\]|\\.|'')*+'|[en]?+\"(?:[^\"\\]|\\.|\"\")*+\"|\$\w*+\$[^$]*+\$\w*+\$"),
    (Kind.OPEN_STRING, rb"'[^']*+\Z|\"[^\"]*+\Z"),
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
    """The tokens from there on, up to the first that is none of SQL or begins a comment, which is the last."""
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
