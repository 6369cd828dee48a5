"""What the app asks of Graph, asked once: roles, mailboxes, submissions, the report policy, the other sources.

The app's own adapters make the requests, so that what works here works there. Mail that comes back is counted and
never shown.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from ..adapters.graph.submissions import HEADERS, PAGE_SIZE, ROOT
from ..adapters.graph.user_submissions import utc
from ..domain.errors import NO_CLOUD_MAILBOX, GraphError, NotAllowed, Refused
from ..ports import Clock, HuntingQueries, MailSource, ReportPage, UserSubmissions
from ..settings import ReportingMailbox, Settings
from .claims import read_caller
from .findings import Result, ok, unclear, wrong
from .graph_troubles import Remedies, graph_trouble, is_role_missing
from .ports import Graph, Instruments, Tokens
from .roles import ALERTS, HUNT, NEEDED_BY, SUBMIT, compare, needed_roles

LIST = f"{ROOT}/emailThreats?$top={PAGE_SIZE}"
POLICIES = f"{ROOT}/emailThreatSubmissionPolicies"
SOURCE_SPAN = timedelta(hours=1)
"""How far back a source is asked: enough to prove it, little to read."""

_GRANT = (
    "Grant it with infra/scripts/graph-access.sh. Azure keeps a managed identity's token for up to a day, and nothing "
    "forces a new one: a grant may take that long to show."
)
_ROLE_HELD = "The role is there, and Graph forbids it all the same: look at the tenant's licence and wait an hour."
_SCOPE = (
    "give the identity `Application Mail.Read` in Exchange Online, with a management scope that holds the reporting "
    "mailboxes and no other (docs/settings.md, Rights). A change may take two hours to hold."
)


# --- Roles ----------------------------------------------------------------------------------------------------------


async def roles_in_token(tokens: Tokens, settings: Settings) -> Result:
    """Whether the token carries the roles that the settings need, and no other."""
    caller = read_caller(await tokens.token(f"{settings.graph_base_url}/.default"))
    needed = needed_roles(settings)
    if caller.is_person:
        return wrong("a person's token, which has no application roles", "Ask the app itself with --in-app.")
    gap = compare(needed, caller.roles)
    if gap.missing:
        return _missing(gap.missing, "the token lacks")
    if gap.needless:
        held_up = ("control_mailbox",) if gap.opens_mailboxes else ()
        return wrong(f"the token also has {', '.join(gap.needless)}", _needless(held_up), holds_up=held_up)
    return ok(f"the token has {', '.join(needed)}, and no more")


def _needless(mailboxes: tuple[str, ...]) -> str:
    opened = " It opens every mailbox of the tenant, whatever Exchange scopes." if mailboxes else ""
    return f"Remove it from the identity in Entra: the app does not use it.{opened}"


async def roles_by_refusals(tools: Instruments, settings: Settings) -> Result:
    """The same where Graph is a stand-in and takes any token: a role is missing where its call is forbidden."""
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        SUBMIT: lambda: tools.graph.get_json("list email submissions", LIST, HEADERS),
        ALERTS: lambda: tools.sources.defender_alerts.told_since(tools.clock.now() - SOURCE_SPAN),
        HUNT: lambda: tools.sources.hunting.run(settings.hunting_query),
    }
    needed = needed_roles(settings)
    missing = [role for role in needed if await _is_forbidden(calls[role])]
    return _missing(missing, "Graph forbids what needs") if missing else ok(f"nothing forbids {', '.join(needed)}")


async def _is_forbidden(call: Callable[[], Awaitable[object]]) -> bool:
    """Whether the call is refused for want of a role; any other trouble is for the line of the call itself."""
    try:
        await call()
    except NotAllowed as error:
        return is_role_missing(error)
    except GraphError:
        return False
    return False


def _missing(roles: tuple[str, ...] | list[str], found: str) -> Result:
    held_up = [name for role in roles for name in NEEDED_BY[role]]
    return wrong(f"{found} {', '.join(roles)}", _GRANT, holds_up=held_up)


# --- Mailboxes ------------------------------------------------------------------------------------------------------

_ATTACHMENTS = Remedies(
    forbidden=f"The mails can be listed, their attachments not: `Mail.ReadBasic` is too little; {_SCOPE}",
    refused="Try again: the mail may have been moved just now.",
)
_NO_MAILBOX = "Graph knows no such mailbox or folder: correct REPORTING_MAILBOXES."
_NOT_IN_CLOUD = (
    "The mailbox is on-premises, inactive or unlicensed, and Graph reads none of these: move it to Exchange Online, "
    "restore it or give it a licence, or report to another one."
)


async def reporting_mailbox(mail: MailSource, box: ReportingMailbox) -> Result:
    """Whether the app can read a folder that reports arrive in, and what is attached there."""
    try:
        page = await mail.changes(box.address, box.folder, None)
    except GraphError as error:
        remedies = Remedies(
            forbidden=f"So that the app may read this mailbox, {_SCOPE}",
            refused=_NOT_IN_CLOUD if error.code == NO_CLOUD_MAILBOX else _NO_MAILBOX,
        )
        return graph_trouble(error, remedies)
    if not page.reports:
        return ok("no mail there")
    return await _attachments(mail, box, page)


async def _attachments(mail: MailSource, box: ReportingMailbox, page: ReportPage) -> Result:
    try:
        await mail.attachments(box.address, page.reports[0].message_id)
    except GraphError as error:
        return graph_trouble(error, _ATTACHMENTS)
    return ok(f"{len(page.reports)} listed, attachments too")


async def control_mailbox(mail: MailSource, address: str) -> Result:
    """Whether a mailbox that is none of the app's business is refused."""
    try:
        await mail.changes(address, "inbox", None)
    except NotAllowed as error:
        if error.status == 403:
            return ok("refused with 403, as it must be")
        return unclear(f"refused, but with {error.status or error.code}", "See what the lines above say of the token.")
    except Refused as error:
        found = f"{error.status} {error.code}, which says nothing about rights"
        return unclear(found, "Name a mailbox that exists in this tenant and is none of the reporting mailboxes.")
    except GraphError as error:
        return graph_trouble(error, _ATTACHMENTS)
    return wrong(
        "the app can read it",
        f"Remove every `Mail.*` permission of the identity in Entra, and {_SCOPE}",
    )


# --- Submissions and the report policy ------------------------------------------------------------------------------

_SUBMISSIONS = Remedies(
    forbidden=_ROLE_HELD,
    refused="Graph does not have the list of threat submissions. Microsoft serves it in beta and in the global cloud "
    "only: look at GRAPH_BASE_URL and at Microsoft's change log of Graph beta.",
)


async def threat_submissions(graph: Graph, clock: Clock) -> Result:
    """Whether today's submissions can be listed, with the filter or, as the app does then, without."""
    midnight = clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    try:
        try:
            page = await _list(graph, f"{LIST}&$filter=createdDateTime%20ge%20{utc(midnight)}")
        except Refused as error:
            if error.status != 400:
                raise
            page = await _list(graph, LIST)
    except GraphError as error:
        return graph_trouble(error, _SUBMISSIONS)
    rows = page.get("value")
    if not isinstance(rows, list) or not all(isinstance(one, dict) and one.get("id") for one in rows):
        return unclear("an answer that is no list of submissions", _STRANGE)
    return ok(f"{'at least ' if '@odata.nextLink' in page else ''}{len(rows)} on the list")


_STRANGE = "Try again. If it stays, Microsoft has changed its beta: nothing will be lost, but no verdicts will come."


async def _list(graph: Graph, path: str) -> dict[str, Any]:
    return await graph.get_json("list email submissions", path, HEADERS)


async def report_destination(graph: Graph, settings: Settings) -> Result:
    """Where users' reports go: by the setting, or by the tenant's policy."""
    try:
        policies = (await graph.get_json("read the report policy", POLICIES, HEADERS)).get("value")
    except GraphError as error:
        trouble = graph_trouble(error, _POLICY)
        return _by_setting(settings, f"the policy cannot be read: {trouble.found}") or trouble
    if not isinstance(policies, list) or not all(isinstance(one, dict) for one in policies):
        return _by_setting(settings, "the policy is unreadable") or unclear("no list of policies", _STRANGE)
    if not policies:
        return _by_setting(settings, "the tenant has no policy") or wrong("the tenant has no policy", _SET_IT)
    return _by_policy(policies, settings)


_SET_IT = (
    "Set REPORT_DESTINATION to `mailbox` or `microsoft` by hand, or save the user reported settings once in the "
    "Defender portal. Until then the app takes `mailbox`, and may submit what Microsoft has already."
)
_POLICY = Remedies(forbidden=_SET_IT, refused=_SET_IT)


def _by_setting(settings: Settings, otherwise: str) -> Result | None:
    """What the setting says where it is set by hand; then the policy decides nothing."""
    if settings.report_destination == "auto":
        return None
    return ok(f"REPORT_DESTINATION says `{settings.report_destination}`; {otherwise}")


def _by_policy(policies: list[dict[str, Any]], settings: Settings) -> Result:
    says = "microsoft" if any(one.get("isReportToMicrosoftEnabled") is True for one in policies) else "mailbox"
    policy = (
        f"to Microsoft {'yes' if says == 'microsoft' else 'no'}, to our mailbox {_to_our_mailbox(policies, settings)}"
    )
    if settings.report_destination == "auto":
        return ok(f"{policy}, hence `{says}`")
    agrees = "which agrees" if settings.report_destination == says else "which differs: the setting counts"
    return ok(f"REPORT_DESTINATION says `{settings.report_destination}`; the policy: {policy}, {agrees}")


def _to_our_mailbox(policies: list[dict[str, Any]], settings: Settings) -> str:
    """Whether reports go to a reporting mailbox; an address of the tenant's that is none is not repeated."""
    told = {str(box).lower() for one in policies if (box := one.get("customizedReportRecipientEmailAddress"))}
    ours = {one.address.lower() for one in settings.reporting_mailboxes}
    return "yes" if told & ours else "no, to another" if told else "no"


# --- Other sources --------------------------------------------------------------------------------------------------


_UNKNOWN = "Graph does not have it: switch the source off, or look at Microsoft's change log."
_QUERY = "Graph refuses the query: run HUNTING_QUERY in the Defender portal, which says what is wrong with it."


async def teller(told_by: UserSubmissions, clock: Clock) -> Result:
    """Whether a source that tells of user submissions answers."""
    try:
        told = await told_by.told_since(clock.now() - SOURCE_SPAN)
    except GraphError as error:
        return graph_trouble(error, Remedies(_ROLE_HELD, _UNKNOWN))
    more = " and more" if told.resume else ""
    return ok(f"answered, {len(told.submissions)}{more} found")


async def hunting(queries: HuntingQueries, query: str) -> Result:
    """Whether the hunting query runs, as it is set; it has no effect."""
    try:
        rows = await queries.run(query)
    except GraphError as error:
        return graph_trouble(error, Remedies(_ROLE_HELD, _QUERY))
    return ok(f"answered, {len(rows)} rows")
