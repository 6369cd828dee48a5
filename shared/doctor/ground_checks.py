"""The ground that all other lines stand on: both services answer, the clocks agree, and somebody is signed in.

Whether a service answers is asked without a token, so that a line about the network says nothing about rights.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from ..domain.planner import CLOCK_MARGIN
from ..ports import Clock
from ..settings import Settings
from .claims import Caller, read_caller
from .findings import Result, ok, unclear, wrong
from .ports import NoAnswerError, NoTokenError, Tokens, Web

STORAGE_SCOPE = "https://storage.azure.com/.default"
_RESOLUTION = timedelta(seconds=1)
"""Of the `Date` header (RFC 9110, section 5.6.7): the true time is up to a second later."""
_PASSING = "The service itself is ill or busy. Try again in a few minutes."


def probe_url(settings: Settings) -> str:
    """What Graph is asked without a token: any answer will do."""
    return f"{settings.graph_base_url}/v1.0/"


def scopes(settings: Settings) -> tuple[str, ...]:
    """What tokens the app needs: none for a stand-in on this machine, none for storage with a connection string."""
    graph = () if settings.is_local else (f"{settings.graph_base_url}/.default",)
    storage = (STORAGE_SCOPE,) if settings.submissions_storage.connection_string is None else ()
    return graph + storage


async def answers(web: Web, urls: Sequence[str], remedy: str) -> Result:
    """Whether every service answers at all."""
    silent: list[str] = []
    ill: list[str] = []
    for url in urls:
        try:
            status = (await web.get(url)).status
        except NoAnswerError as error:
            silent.append(f"{url} ({error.reason})")
            continue
        if status == 429 or status >= 500:
            ill.append(f"{url} ({status})")
    if silent:
        return wrong(f"no answer from {', '.join(silent)}", remedy)
    return (
        unclear(f"not well: {', '.join(ill)}", _PASSING) if ill else ok("answers" if len(urls) == 1 else "each answers")
    )


async def clocks(web: Web, clock: Clock, urls: Sequence[str]) -> Result:
    """How far our clock is off the services', by their `Date` headers."""
    offsets = [offset for url in urls if (offset := await _offset(web, clock, url)) is not None]
    if not offsets:
        return unclear("no service tells its time")
    worst = max(offsets, key=abs)
    if abs(worst) <= CLOCK_MARGIN:
        return ok(f"within the {CLOCK_MARGIN.seconds} seconds that are allowed")
    side = "ahead" if worst > timedelta() else "behind"
    return wrong(
        f"ours is {abs(worst).total_seconds():.0f} seconds {side}, and {CLOCK_MARGIN.seconds} are allowed",
        "Set this machine's clock. In Azure the platform does: restart the app, and tell support if it stays.",
    )


async def _offset(web: Web, clock: Clock, url: str) -> timedelta | None:
    """By how much our clock is certainly off; nothing where the header's second leaves room for none."""
    before = clock.now()
    told = (await web.get(url)).headers.get("date", "")
    after = clock.now()
    try:
        theirs = parsedate_to_datetime(told).replace(tzinfo=UTC)
    except ValueError:
        return None
    return _apart(before, after, theirs)


def _apart(before: datetime, after: datetime, theirs: datetime) -> timedelta:
    if before > theirs + _RESOLUTION:
        return before - (theirs + _RESOLUTION)
    return min(after - theirs, timedelta())


async def identity(tokens: Tokens, settings: Settings) -> Result:
    """Who the doctor speaks for, and whether that is in the right tenant."""
    wanted = scopes(settings)
    if not wanted:
        return ok("nobody: a stand-in for Graph and a connection string")
    callers = []
    for scope in wanted:
        try:
            callers.append(read_caller(await tokens.token(scope)))
        except NoTokenError as error:
            return wrong(f"no token for {scope} ({error.reason})", _SIGN_IN)
        except ValueError:
            return unclear(f"the token for {scope} tells no claims", _NO_CLAIMS)
    return _judged(callers[0], settings)


_SIGN_IN = (
    "In Azure: assign the identity to the app, and set SubmissionsStorage__clientId to its client id. Elsewhere there "
    "is no managed identity: ask the app with --in-app, or leave SubmissionsStorage__credential out and use `az login`."
)
_NO_CLAIMS = "An opaque token proves nothing here. Look at the identity that the environment offers."


def _judged(caller: Caller, settings: Settings) -> Result:
    who = f"{'a person' if caller.is_person else 'an app'}, client id {caller.app_id}, object id {caller.object_id}"
    if caller.tenant_id == settings.tenant_id:
        return ok(f"{who}, in tenant {caller.tenant_id}")
    return wrong(
        f"{who}, in tenant {caller.tenant_id or 'unknown'}, and TENANT_ID is {settings.tenant_id}",
        "Set TENANT_ID to the tenant of the app's identity, or sign in to that tenant.",
    )
