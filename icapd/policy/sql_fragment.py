"""Whether a value goes on as SQL where the statement that it is put into expects it to end.

A value lands behind a number, or in quotes of either kind. It is an injection when it closes that and what
then follows keeps to the grammar of SQL to its end, or to a comment that hides the rest. In prose, a word
stands where an operator must.
"""

import enum

import regex

from icapd.policy.sql_tokens import Kind, Token, tokens


class Sign(enum.Flag):
    """What a fragment has in it."""

    LOGIC = enum.auto()
    COMPARISON = enum.auto()
    ARITHMETIC = enum.auto()
    UNION = enum.auto()
    SUBSELECT = enum.auto()
    CLAUSE = enum.auto()
    #: A clause that values are no part of: GROUP BY, ORDER BY, HAVING.
    ORDER = enum.auto()
    STATEMENT = enum.auto()
    CALL = enum.auto()
    #: A call of what only databases have.
    DATABASE = enum.auto()
    #: A call that makes the database wait.
    DELAY = enum.auto()
    COMMENT = enum.auto()
    OPEN_STRING = enum.auto()
    #: TRUE, NULL, or a variable of the server behind AND or OR.
    CONSTANT = enum.auto()


# Signs that are enough, each set by itself, whatever the value is put into.
_ENOUGH = (
    (Sign.UNION, Sign.UNION),
    (Sign.STATEMENT, Sign.STATEMENT),
    (Sign.SUBSELECT, Sign.LOGIC | Sign.COMPARISON | Sign.ARITHMETIC | Sign.COMMENT | Sign.CALL | Sign.CLAUSE),
    (Sign.DATABASE, Sign.LOGIC | Sign.COMPARISON | Sign.ARITHMETIC | Sign.COMMENT),
    (Sign.LOGIC, Sign.COMPARISON | Sign.CALL | Sign.COMMENT | Sign.CONSTANT),
)
# Signs that are enough behind a quote that closes the place, and behind a number.
_ENOUGH_IN_QUOTES = (
    (Sign.OPEN_STRING, Sign.LOGIC | Sign.COMPARISON),
    (Sign.COMMENT, Sign.LOGIC | Sign.COMPARISON | Sign.ARITHMETIC | Sign.CLAUSE | Sign.CALL),
    (Sign.ORDER | Sign.COMPARISON, Sign.ORDER | Sign.COMPARISON),
)
_ENOUGH_BEHIND_NUMBER = ((Sign.COMMENT, Sign.CLAUSE | Sign.COMPARISON),)
_ENOUGH_ALONE = ((Sign.SUBSELECT, Sign.CALL | Sign.COMPARISON | Sign.CLAUSE), (Sign.DELAY, Sign.DELAY))

_DELAY = regex.compile(rb"(?:pg_)?sleep|benchmark|randomblob|dbms_\w++\.\w++|generate_series")
_DATABASE = regex.compile(
    rb"(?:pg_|dbms_|utl_|xp_|sp_|sqlite_|json_|xml|st_|lo_)[\w.]++|sleep|benchmark|version|database|user|schema|"
    rb"(?:current|session|system)_user|load_file|extractvalue|updatexml|concat(?:_ws)?|group_concat|n?char|chr|ascii|"
    rb"ord|substr(?:ing)?|mid|(?:un)?hex|randomblob|load_extension|convert|cast|\w++_name|exp|polygon|multipoint|row|"
    rb"elt|make_set|gtid_subset|row_count|last_insert_id|sysdate|now|count|ctxsys\.\S++|generate_series|"
    rb"current_setting|if|ifnull|instr|(?:char_)?length|find_in_set|regexp_\w++"
)
# What stands in the place of a number: a number, a name with a bracket or a comment behind it, or nothing.
_NUMBER = regex.compile(
    rb"[\s(]{0,8}+[-+~!]{0,2}+\s{0,4}+(?:0x[0-9a-f]++|\d++(?:\.\d*+)?+(?:e\d*+)?+)(?![\w.])|(?=\s*+[);])"
    rb"|\w{1,40}+(?=\s*+(?:\)|/\*))|(?=\s*+(?:(?:order|group)\s++by|having)\s++\d)",
    regex.IGNORECASE,
)
_EXPRESSION = regex.compile(
    rb"\s*+(?:\(\s*+\(*+\s*+select|case|if\s*+\(|(?:pg_)?sleep\s*+\()", regex.IGNORECASE
)
_BLANK = regex.compile(rb"\s")
#: Bytes and blanks of what somebody may have written into the place before it is closed: a name, an address.
_MAX_LEAD, _MAX_LEAD_BLANKS = 40, 2
_QUOTES = (b"'", b'"', b"`")


def sql_fragment(value: bytes) -> bool:
    """Whether the value breaks out of the place for one value in a statement of SQL."""
    if b"+" in value and not _BLANK.search(value):
        value = value.replace(b"+", b" ")  # form coding that was applied twice
    for quote in _QUOTES:
        at = value.find(quote)
        if at >= 0 and _closes_quotes(value, at, quote):
            return True
    number = _NUMBER.match(value)
    if number is not None and _goes_on_behind_number(value, number.end()):
        return True
    return _EXPRESSION.match(value) is not None and _has(_Fragment(value, 0, b"", begun=False), _ENOUGH_ALONE)


def _closes_quotes(value: bytes, at: int, quote: bytes) -> bool:
    fragment = _Fragment(value, at + 1, quote)
    if at > _MAX_LEAD or value.count(b" ", 0, at) > _MAX_LEAD_BLANKS:
        return _has(fragment, _ENOUGH)  # behind prose, quotes and signs come together by chance
    if fragment.signs == Sign.COMMENT:
        # x'-- but not '--': a comment with the quote in it is a text about comments.
        return value.count(quote) == 1 and b"\n" not in value
    return _has(fragment, _ENOUGH) or _has(fragment, _ENOUGH_IN_QUOTES)


def _goes_on_behind_number(value: bytes, end: int) -> bool:
    fragment = _Fragment(value, end, b"")
    return _has(fragment, _ENOUGH) or _has(fragment, _ENOUGH_BEHIND_NUMBER)


def _has(fragment: "_Fragment", enough: tuple[tuple[Sign, Sign], ...]) -> bool:
    signs = fragment.signs
    return fragment.is_sql and any(signs & one and signs & other for one, other in enough)


class _Fragment:
    """What follows the place for a value, read as the rest of a statement."""

    def __init__(self, text: bytes, start: int, quote: bytes, *, begun: bool = True) -> None:
        """`begun`: the value's place holds an operand already, so that an operator comes next."""
        self.signs = Sign(0)
        self._quote = quote
        self._in_select = False
        self.is_sql = self._read(text, start, wants_operand=not begun)

    def _read(self, text: bytes, start: int, *, wants_operand: bool) -> bool:
        # Behind an operand stands an operator, behind that an operand, and so on.
        before = Kind.OTHER
        for token in tokens(text, start):
            if token.kind is Kind.COMMENT:
                self.signs |= Sign.COMMENT
                break
            if token.kind is Kind.STATEMENT and before in (Kind.SEMICOLON, Kind.CLOSE, Kind.OTHER):
                if before is Kind.OTHER and (wants_operand or token.text.startswith(b"if")):
                    return False
                self.signs |= Sign.STATEMENT
                return True
            wanted = self._operand(token, before) if wants_operand else self._operator(token, before)
            if wanted is None:
                return False
            wants_operand, before = wanted, token.kind
        return not wants_operand or before in (Kind.SEMICOLON, Kind.SELECT)

    def _operand(self, token: Token, before: Kind) -> bool | None:
        """Whether an operand is wanted behind this token in the place of one; None: it can't stand there."""
        match token.kind:
            case Kind.NUMBER | Kind.STRING | Kind.WORD:
                return False
            case Kind.CONSTANT:
                self.signs |= Sign.CONSTANT if before in (Kind.LOGIC, Kind.PREFIX) else Sign(0)
                return False
            case Kind.CALL:
                self._note_call(token, before)
                return False
            case Kind.OPEN_STRING:
                return self._end_in_quotes(token)
            case Kind.PREFIX | Kind.CASE | Kind.OPEN:
                return True
            case Kind.CLOSE:
                return False if before is Kind.OPEN else None
            case Kind.ARITHMETIC if token.text == b"*":
                return False if before in (Kind.SELECT, Kind.OPEN, Kind.COMMA) else None
            case Kind.ARITHMETIC:
                return True if token.text in (b"-", b"+", b"~") else None
            case Kind.SELECT if before in (Kind.OPEN, Kind.UNION, Kind.SEMICOLON):
                self._in_select = True
                self.signs |= _BY_SELECT.get(before, Sign.SUBSELECT)
                return True
            case Kind.CLAUSE if before is Kind.CASE:
                return True
            case Kind.COMPARISON if before is Kind.LOGIC and token.text.startswith(b"not"):
                return True
            case _:
                return None

    def _operator(self, token: Token, before: Kind) -> bool | None:
        """The same for a token behind an operand."""
        match token.kind:
            case Kind.LOGIC | Kind.COMPARISON | Kind.ARITHMETIC | Kind.CLAUSE | Kind.UNION:
                self.signs |= _BY_OPERATOR[token.kind]
                if token.text.startswith((b"group", b"order", b"having")):
                    self.signs |= Sign.ORDER
                return True
            case Kind.COMMA | Kind.SEMICOLON:
                return True
            case Kind.SUFFIX:
                self.signs |= Sign.COMPARISON if token.text.startswith(b"is") else Sign(0)
                return False
            case Kind.CLOSE | Kind.END:
                return False
            case Kind.OPEN:
                return True if before is Kind.CALL else None
            case Kind.STRING if before is Kind.STRING or self._in_select:
                return False  # 'a' 'b' is one string; behind a column, a string is its other name
            case Kind.OPEN_STRING if before is Kind.STRING or self._in_select:
                return self._end_in_quotes(token)
            case Kind.WORD if self._in_select and before in _NAMEABLE:
                return False
            case _:
                return None

    def _end_in_quotes(self, token: Token) -> bool | None:
        """A string that the statement around the value closes: of the kind that the value closed."""
        if self._quote and not token.text.startswith(self._quote):
            return None
        self.signs |= Sign.OPEN_STRING
        return False

    def _note_call(self, name: Token, before: Kind) -> None:
        self.signs |= Sign.CALL
        if _DATABASE.fullmatch(name.text):
            self.signs |= Sign.DATABASE
        if _DELAY.fullmatch(name.text):
            self.signs |= Sign.DELAY
        if before is Kind.UNION and name.text == b"values":
            self.signs |= Sign.UNION


_NAMEABLE = frozenset({Kind.NUMBER, Kind.STRING, Kind.CONSTANT, Kind.CLOSE, Kind.WORD})
_BY_SELECT = {Kind.UNION: Sign.UNION, Kind.SEMICOLON: Sign.STATEMENT}
_BY_OPERATOR = {
    Kind.LOGIC: Sign.LOGIC,
    Kind.COMPARISON: Sign.COMPARISON,
    Kind.ARITHMETIC: Sign.ARITHMETIC,
    Kind.CLAUSE: Sign.CLAUSE,
    Kind.UNION: Sign.CLAUSE,
}
