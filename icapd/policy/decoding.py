"""TOML files into typed values, with errors that name the place and the word that was probably meant."""

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec
import regex

from icapd.errors import PolicyError
from icapd.policy.faults import RuleFault, suggest

Table = TypeVar("Table", bound=msgspec.Struct)
#: A file, or a table of one: "policy.toml: scope "finance"".
Place = Path | str

# tomllib tells the place in the message: "... (at line 3, column 7)"; at the end of the document without one.
_TOML_PLACE = regex.compile(r" \(at (?:line (?P<line>\d+), column \d+|end of document)\)")
_MISSING = regex.compile(r"Object missing required field `(?P<key>\w+)`")
_UNKNOWN = regex.compile(r"Object contains unknown field `(?P<key>.*)`", regex.DOTALL)
_INVALID_CHOICE = regex.compile(r"Invalid enum value '(?P<value>.*)'", regex.DOTALL)
_WRONG_TYPE = regex.compile(r"Expected `(?P<wanted>[^`]+)`, got `(?P<found>\w+)`")
_NO_DATE = "Invalid RFC3339 encoded date"
_ESCAPE = "Unescaped '\\' in a string"
#: What to write, by the type that is wanted.
_REMEDIES = {
    "int": "write the number without quotes",
    "float": "write the number without quotes",
    "bool": "write true or false, without quotes",
    "str": "put it in quotes",
    "object": "write a table, { key = value }",
    "date": "write a day such as 2027-03-31, without quotes",
}


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file; PolicyError when it can't be read or is no TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PolicyError(f"can't be read: {error.strerror}", file=path) from None
    except UnicodeDecodeError as error:
        raise PolicyError(f"is not UTF-8 (byte {error.start}); save it as UTF-8", file=path) from None
    except tomllib.TOMLDecodeError as error:
        place = _TOML_PLACE.search(str(error))
        line = f"{path}:{place['line']}" if place is not None and place["line"] else path
        problem = _TOML_PLACE.sub("", str(error)) if line != path else str(error)
        if problem.startswith(_ESCAPE):
            problem += "; write patterns between ''' and '''"
        raise PolicyError(f"not TOML: {problem}", file=line) from None
    except RecursionError:
        raise PolicyError("arrays or tables in more arrays than can be read", file=path) from None


def decode(table: object, kind: type[Table], *, file: Place, rule: str | None = None) -> Table:
    """The table as a value of that struct type; PolicyError for an unknown, missing or mistyped key."""
    if isinstance(table, dict):
        fields = msgspec.structs.fields(kind)
        known = [field.encode_name for field in fields]
        for key in table:
            if key not in known:
                raise PolicyError(f"unknown key{suggest(key, known)}", file=file, rule=rule, key=key)
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at `$")
        key = path.removesuffix("`").lstrip(".")
        missing = _MISSING.fullmatch(problem)
        if missing is not None and not key and (head := _holder(table, missing["key"])):
            problem = f'missing: it stands in the table "{head}"; move it above the head of that'
            raise PolicyError(problem, file=file, rule=rule, key=missing["key"]) from None
        raise _explained(problem, key, kind, file, rule) from None


def _holder(table: object, key: str) -> str:
    """The table in this one that has the key, as what is written below its head; "" where none has."""
    assert isinstance(table, dict)
    for name, value in table.items():
        inner = value if isinstance(value, list) else [value]
        if any(isinstance(item, dict) and key in item for item in inner):
            return str(name)
    return ""


@contextmanager
def faults_as_errors(file: Place, rule: str | None = None) -> Iterator[None]:
    """Give a RuleFault its place: the file and the rule."""
    try:
        yield
    except RuleFault as fault:
        raise PolicyError(fault.problem, file=file, rule=rule, key=fault.key) from None


def _explained(problem: str, key: str, kind: type[Table], file: Place, rule: str | None) -> PolicyError:
    """msgspec's finding in this project's words: what is there, and what may be there."""
    missing = _MISSING.fullmatch(problem)
    if missing is not None:
        key = f"{key}.{missing['key']}".lstrip(".")
        return PolicyError("missing: it has no default", file=file, rule=rule, key=key)
    unknown = _UNKNOWN.fullmatch(problem)
    if unknown is not None:
        return PolicyError("unknown key", file=file, rule=rule, key=f"{key}.{unknown['key']}".lstrip("."))
    choice = _INVALID_CHOICE.fullmatch(problem)
    if choice is not None:
        choices = _choices(get_type_hints(kind)[key])
        problem = f'unknown value "{choice["value"]}"{suggest(choice["value"], choices)}'
    problem += _remedy(problem)
    return PolicyError(problem[:1].lower() + problem[1:], file=file, rule=rule, key=key or None)


def _remedy(problem: str) -> str:
    """The end of a message about a value of the wrong type: how the right one is written."""
    if problem == _NO_DATE:
        return f"; {_REMEDIES['date']}"
    wrong = _WRONG_TYPE.fullmatch(problem)
    if wrong is None:
        return ""
    wanted = wrong["wanted"].removesuffix(" | null")
    if wanted == "array":
        table = wrong["found"] == "object"
        return "; write its head in two pairs of brackets: [[...]]" if table else '; write a list: ["..."]'
    return f"; {_REMEDIES[wanted]}" if wanted in _REMEDIES else ""


def _choices(hint: Any) -> list[str]:
    """The strings of a Literal type, optional or not."""
    return [
        choice
        for part in get_args(hint)
        if part is not type(None)
        for choice in ([part] if isinstance(part, str) else get_args(part))
    ]
