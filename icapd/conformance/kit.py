"""Runs the checks: finds the services, and turns what a check raises into a result."""

from collections.abc import Callable, Iterable, Iterator

from icapd.conformance import messages
from icapd.conformance.check import Check, NotApplicable, Result, Status, Violation
from icapd.conformance.conversation import Conversation, Unreachable
from icapd.conformance.lab import Lab, Options, Service
from icapd.conformance.target import Target

#: Where icapd's own services are.
DEFAULT_PATHS = ("/reqmod", "/respmod")


def find_services(target: Target, options: Options, reqmod: str = "", respmod: str = "") -> Lab:
    """The lab for a server, its services found by OPTIONS. Unreachable when there is none.

    A path that is given is taken; otherwise the URL's own, and then icapd's, are asked what they adapt.
    """
    found: dict[bytes, Service] = {}
    for method, path in ((b"REQMOD", reqmod), (b"RESPMOD", respmod)):
        if not path:
            continue
        try:
            found[method] = _ask(target, options, path)
        except Violation as error:
            raise Unreachable(f"{target.uri(path)}: OPTIONS: {error}") from None
    answers: list[str] = []
    for path in dict.fromkeys(path for path in (target.path, *DEFAULT_PATHS) if path):
        if len(found) == 2:
            break
        try:
            service = _ask(target, options, path)
        except Violation as error:
            answers.append(f"{path}: {error}")
            continue
        if service.options.status != 200:
            answers.append(f"{path}: {service.options.line}")
            continue
        for method in service.methods & {b"REQMOD", b"RESPMOD"}:
            found.setdefault(method, Service(path, service.options))
    if not found:
        raise Unreachable(f"{target.authority}: no service was found ({'; '.join(answers)}); name its path")
    return Lab(target, found.get(b"REQMOD"), found.get(b"RESPMOD"), options)


def _ask(target: Target, options: Options, path: str) -> Service:
    request = messages.icap_head(b"OPTIONS", target.uri(path), target.authority, ())
    with Conversation(target, options.timeout) as conversation:
        conversation.send(request)
        return Service(path, conversation.reply())


def run(lab: Lab, checks: Iterable[Check]) -> Iterator[Result]:
    """Each check's result, as soon as there is one."""
    for check in checks:
        yield run_one(lab, check)


def run_one(lab: Lab, check: Check) -> Result:
    """The result of one check."""
    if check.examine is None:
        return Result(check, Status.UNTESTABLE, check.level, check.untestable)
    return _result(lab, check, check.examine)


def _result(lab: Lab, check: Check, examine: Callable[[Lab], str]) -> Result:
    try:
        return Result(check, Status.PASS, check.level, examine(lab))
    except NotApplicable as reason:
        return Result(check, Status.SKIPPED, check.level, str(reason))
    except Unreachable as error:
        return Result(check, Status.FAIL, check.level, f"in the middle of the check: {error}")
    except Violation as violation:
        return Result(check, Status.FAIL, violation.level or check.level, str(violation))
