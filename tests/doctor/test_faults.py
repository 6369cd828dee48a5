"""Each fault of a tenant makes exactly its line fail, and that line says what to do."""

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from local.graph_simulator import Access, Fault, FaultKind, Scope, Source
from local.graph_simulator.faults import answer_body, answer_html, answer_status, omit_rows, throttle
from local.sample_tenant import CONTROL_MAILBOX, REPORTING_MAILBOX
from shared.adapters.system_clock import SystemClock
from shared.doctor.findings import Finding, Mark
from shared.doctor.ports import Instruments
from tests.doctor.clinic import SUBJECT, Clinic, by_name, clinic, failing
from tests.doctor.refusing_proxy import Refusal, refusing_proxy

OTHER = "abuse@fabrikam.example"
THREATS, POLICIES = Scope(path="emailThreats"), Scope(path="Policies")
NO_POLICY = answer_body('{"value": []}', POLICIES)
SOURCES = {"USER_SUBMISSIONS": "on", "DEFENDER_ALERTS": "on", "HUNTING_QUERY": "EmailEvents | take 5"}
CLOSED = {
    "role missing": (Source.THREAT_SUBMISSIONS, Access.NOT_GRANTED, "graph_roles", r"Grant it with infra/scripts"),
    "licence missing": (Source.THREAT_SUBMISSIONS, Access.NOT_LICENSED, "threat_submissions", r"names the licence"),
    "beta endpoint gone": (Source.THREAT_SUBMISSIONS, Access.UNKNOWN_ENDPOINT, "threat_submissions", r"change log"),
    "mailbox forbidden": (Source.MAILBOX, Access.NOT_GRANTED, "mailbox", r"`Application Mail\.Read`.* scope"),
    "alerts' role missing": (Source.ALERTS, Access.NOT_GRANTED, "graph_roles", r"Grant it with"),
    "hunting's role missing": (Source.HUNTING, Access.NOT_GRANTED, "graph_roles", r"Grant it with"),
    "alerts' licence missing": (Source.ALERTS, Access.NOT_LICENSED, "defender_alerts", r"names the licence"),
    "no hunting in this cloud": (Source.HUNTING, Access.UNKNOWN_ENDPOINT, "hunting", r"Defender portal"),
    "user submissions closed": (Source.USER_SUBMISSIONS, Access.NOT_GRANTED, "user_submissions", r"licence"),
    "policy gone": (Source.REPORT_POLICY, Access.UNKNOWN_ENDPOINT, "report_destination", r"Set REPORT_DESTINATION"),
    "policy forbidden": (Source.REPORT_POLICY, Access.NOT_GRANTED, "report_destination", r"Set REPORT_DESTINATION"),
}
BUSY_OR_ILL = {
    "submissions throttled": (throttle("17", THREATS), "threat_submissions", r"Try again in 17 seconds"),
    "submissions ill": (answer_status(500, THREATS), "threat_submissions", r"health"),
    "a page instead of submissions": (answer_html(200, THREATS), "threat_submissions", r"health"),
    "no list in the answer": (omit_rows(THREATS), "threat_submissions", r"changed its beta"),
    "submissions without ids": (answer_body('{"value": [{}]}', THREATS), "threat_submissions", r"changed its beta"),
    "submissions cut off": (Fault(FaultKind.RESET, THREATS), "threat_submissions", r"health"),
    "mailbox throttled": (throttle("3", Scope(path="/users/phish")), "mailbox", r"Try again in 3 seconds"),
    "mailbox unreadable": (answer_body("[]", Scope(path="/users/phish")), "mailbox", r"health"),
    "policy ill": (answer_status(503, POLICIES), "report_destination", r"health"),
    "policy garbled": (answer_body('{"value": 7}', POLICIES), "report_destination", r"changed its beta"),
    "Graph ill": (answer_status(503), "graph", r"ill or busy"),
    "Graph throttles all": (throttle("5"), "graph", r"ill or busy"),
}
QUEUE_MESSAGES = r"/submissions(-poison)?/messages|/manual-submissions(-poison)?/messages"
REFUSED = {
    "queue update forbidden": (Refusal("PUT", QUEUE_MESSAGES), "queue_release", r"Storage Queue Data Contributor"),
    "work queue takes no message": (Refusal("POST", r"/submissions/messages"), "queue_release", r"Contributor"),
    "poison queue takes no message": (Refusal("POST", r"-poison/messages"), "queue_poison", r"Contributor"),
    "message not deletable": (Refusal("DELETE", r"/submissions/messages"), "queue_release", r"Contributor"),
    "queue unreadable": (Refusal("GET", r"/submissions$"), "queues", r"Storage Queue Data Contributor"),
    "table forbidden": (Refusal("GET", r"/worklist"), "tables", r"Storage Table Data Contributor"),
    "rows not writable": (Refusal("POST", r"/items"), "table_write", r"Storage Table Data Contributor"),
    "rows not mergeable": (Refusal("PATCH", r"/items"), "table_write", r"Storage Table Data Contributor"),
    "container forbidden": (Refusal("GET", r"/submission-content"), "containers", r"Storage Blob Data Reader"),
    "blobs not writable": (Refusal("PUT", r"/evidence"), "container_write", r"Storage Blob Data Contributor"),
    "network rules": (Refusal("GET", r"/evidence", code="AuthorizationFailure"), "containers", r"network rules"),
    "no keys": (
        Refusal("GET", r"/items", code="KeyBasedAuthenticationNotPermitted"), "tables", r"SubmissionsStorage__"
    ),
    "token not taken": (Refusal("GET", r"/items", 401, "AuthenticationFailed"), "tables", r"clock"),
}  # fmt: skip


@pytest.fixture
async def tenant(storage_connection: str) -> AsyncIterator[Clinic]:
    """Yield a healthy tenant."""
    async with clinic(storage_connection) as healthy:
        healthy.graph.control.set_hunting_rows("*", ())
        yield healthy


def assert_only(findings: list[Finding], name: str, mark: Mark, remedy: str) -> Finding:
    """Only that line fails, in that way, and tells that remedy; nothing of a mail is in any line. Return the line."""
    assert failing(findings) == [(name, mark)]
    found = next(one for one in findings if (one.name, one.mark) == (name, mark))
    assert re.search(remedy, found.remedy)
    assert SUBJECT not in str(findings)
    return found


# --- Graph says no --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("source", "access", "line", "remedy"), CLOSED.values(), ids=CLOSED)
async def test_what_graph_refuses(tenant: Clinic, source: Source, access: Access, line: str, remedy: str) -> None:
    """A missing role, licence, scope or endpoint is told once, by the line it belongs to."""
    tenant.graph.control.set_source_access(source, access)
    assert_only(await tenant.examine(SOURCES, write=False), line, Mark.WRONG, remedy)


async def test_what_hangs_on_a_role_is_not_tried(tenant: Clinic) -> None:
    """Without the role the submissions and all that needs them wait; a source with a role of its own does not."""
    tenant.graph.control.set_source_access(Source.THREAT_SUBMISSIONS, Access.NOT_GRANTED)
    findings = await tenant.examine(SOURCES, write=False)
    for name in ("threat_submissions", "report_destination", "user_submissions", "learned_filter"):
        assert (by_name(findings, name).mark, by_name(findings, name).found) == (
            Mark.NOT_TRIED, "graph_roles comes first"
        )  # fmt: skip
    assert by_name(findings, "defender_alerts").mark is Mark.OK
    assert "ThreatSubmission.ReadWrite.All" in by_name(findings, "graph_roles").found


async def test_one_mailbox_of_several(tenant: Clinic) -> None:
    """Each reporting mailbox has its line: the forbidden one's fails, the other's does not."""
    tenant.graph.control.add_mailbox(OTHER, app_may_read=False)
    findings = await tenant.examine({"REPORTING_MAILBOXES": f"{REPORTING_MAILBOX},{OTHER}"})
    assert OTHER in assert_only(findings, "mailbox", Mark.WRONG, "management scope").tried
    assert [one.mark for one in findings if one.name == "mailbox"] == [Mark.OK, Mark.WRONG]


async def test_no_such_mailbox_or_folder(tenant: Clinic) -> None:
    """What Graph does not know is a wrong setting."""
    for box in ("nobody@contoso.example", f"{REPORTING_MAILBOX}/Nowhere"):
        findings = await tenant.examine({"REPORTING_MAILBOXES": box}, write=False)
        assert_only(findings, "mailbox", Mark.WRONG, "correct REPORTING_MAILBOXES")


async def test_a_mailbox_that_is_not_in_the_cloud(tenant: Clinic) -> None:
    """Its address is right: whoever corrects the setting looks in the wrong place."""
    scope = Scope(method="GET", path=f"users/{REPORTING_MAILBOX.partition('@')[0]}(@|%40)")
    tenant.graph.control.add_fault(answer_status(404, scope, code="MailboxNotEnabledForRESTAPI"))
    finding = assert_only(await tenant.examine(write=False), "mailbox", Mark.WRONG, "on-premises, inactive or unlicens")
    assert "REPORTING_MAILBOXES" not in finding.remedy


async def test_attachments_out_of_reach(tenant: Clinic) -> None:
    """`Mail.ReadBasic` lists mails and gives no attachment: that is too little."""
    fault = answer_status(403, Scope(path="/attachments"), code="ErrorAccessDenied")
    tenant.graph.control.add_fault(fault)
    assert_only(await tenant.examine(write=False), "mailbox", Mark.WRONG, r"`Mail\.ReadBasic` is too little")


async def test_control_mailbox_readable(tenant: Clinic) -> None:
    """A mailbox that the app must not read and can is wrong, and how to scope is told."""
    findings = await tenant.examine(control_mailbox=readable_mailbox(tenant))
    assert_only(findings, "control_mailbox", Mark.WRONG, r"Remove every `Mail\.\*`.*management scope")


def readable_mailbox(tenant: Clinic) -> str:
    """Return a mailbox that the app can read and is not meant to."""
    tenant.graph.control.add_mailbox(OTHER)
    return OTHER


async def test_control_mailbox_unknown(tenant: Clinic) -> None:
    """A mailbox that does not exist proves nothing."""
    findings = await tenant.examine(control_mailbox="nobody@contoso.example")
    assert_only(findings, "control_mailbox", Mark.UNCLEAR, "exists in this tenant")


async def test_control_mailbox_refused_for_another_reason(tenant: Clinic) -> None:
    """Only a 403 shows that there is a scope: a token that is not taken at all proves nothing."""
    tenant.graph.control.add_fault(answer_status(401, Scope(path=f"/users/{CONTROL_MAILBOX}")))
    assert_only(await tenant.examine(), "control_mailbox", Mark.UNCLEAR, "lines above")


async def test_control_mailbox_not_named(tenant: Clinic) -> None:
    """Without one the line is not tried, says how to name one, and does not fail."""
    findings = await tenant.examine(control_mailbox=None)
    assert failing(findings) == []
    line = by_name(findings, "control_mailbox")
    assert (line.mark, "--control-mailbox" in line.remedy) == (Mark.NOT_TRIED, True)


# --- The report policy ----------------------------------------------------------------------------------------------


async def test_policy_absent(tenant: Clinic) -> None:
    """No policy leaves `auto` without an answer; a destination set by hand needs none."""
    tenant.graph.control.add_fault(NO_POLICY)
    assert_only(await tenant.examine(write=False), "report_destination", Mark.WRONG, "Set REPORT_DESTINATION")
    for word in ("mailbox", "microsoft"):
        findings = await tenant.examine({"REPORT_DESTINATION": word}, write=False)
        assert failing(findings) == []
        assert f"`{word}`" in by_name(findings, "report_destination").found


@pytest.mark.parametrize("fault", [answer_status(403, POLICIES), answer_body('{"value": 7}', POLICIES)])
async def test_policy_unreadable_where_it_does_not_count(tenant: Clinic, fault: Fault) -> None:
    """With a destination set by hand the policy may say what it wants, or nothing."""
    tenant.graph.control.add_fault(fault)
    assert failing(await tenant.examine({"REPORT_DESTINATION": "mailbox"}, write=False)) == []


# --- Busy, ill, gone ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fault", "line", "remedy"), BUSY_OR_ILL.values(), ids=BUSY_OR_ILL)
async def test_what_says_nothing_about_the_tenant(tenant: Clinic, fault: Fault, line: str, remedy: str) -> None:
    """Busy, ill or unreadable is neither right nor wrong: one line is unclear."""
    tenant.graph.control.add_fault(fault)
    assert_only(await tenant.examine(write=False), line, Mark.UNCLEAR, remedy)


async def test_no_way_to_graph(tenant: Clinic) -> None:
    """Where nothing answers, one line says so and names the network."""
    url = tenant.graph.base_url
    await tenant.graph.stop()
    findings = await tenant.examine({"GRAPH_BASE_URL": url})
    assert_only(findings, "graph", Mark.WRONG, "DNS, firewall")
    assert by_name(findings, "queue_release").mark is Mark.OK


async def test_no_way_to_storage(tenant: Clinic) -> None:
    """The same for storage: the other side is still proven."""
    nowhere = re.sub(r"http://127\.0\.0\.1:\d+", "http://127.0.0.1:9", tenant.connection)
    findings = await tenant.examine({"SubmissionsStorage": nowhere})
    assert_only(findings, "storage", Mark.WRONG, "DNS, firewall")
    assert by_name(findings, "threat_submissions").mark is Mark.OK
    assert by_name(findings, "queue_release").found == "storage comes first"


# --- Storage --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("refusal", "line", "remedy"), REFUSED.values(), ids=REFUSED)
async def test_what_storage_refuses(tenant: Clinic, refusal: Refusal, line: str, remedy: str) -> None:
    """Each missing right of the data account is told once, with the role that has it."""
    async with refusing_proxy(tenant.connection, refusal) as proxy:
        findings = await tenant.examine({"SubmissionsStorage": proxy.connection})
    found = assert_only(findings, line, Mark.WRONG, remedy).found
    assert f"{refusal.status} {refusal.code}" in found


async def test_the_refused_steps_are_named(tenant: Clinic) -> None:
    """Releasing fails on every queue, and each is named; the probe messages are deleted all the same."""
    async with refusing_proxy(tenant.connection, Refusal("PUT", QUEUE_MESSAGES)) as proxy:
        findings = await tenant.examine({"SubmissionsStorage": proxy.connection})
    found = by_name(findings, "queue_release").found
    for queue in ("manual-submissions", "manual-submissions-poison", "submissions", "submissions-poison"):
        assert f"{queue} (release): 403 AuthorizationPermissionMismatch" in found
        properties = await tenant.clients.queues.get_queue_client(queue).get_queue_properties()
        assert properties.approximate_message_count == 0


async def test_missing_stores(tenant: Clinic) -> None:
    """A queue, table or container that is not there is named, and not made."""
    await tenant.clients.queues.delete_queue("submissions-poison")
    assert "submissions-poison: 404" in assert_only(await tenant.examine(), "queues", Mark.WRONG, "deploy infra/").found
    await tenant.clients.queues.create_queue("submissions-poison")
    await tenant.clients.tables.delete_table("worklist")
    assert (
        "worklist: 404 TableNotFound"
        in assert_only(await tenant.examine(), "tables", Mark.WRONG, "deploy infra/").found
    )
    await tenant.clients.tables.create_table("worklist")
    await tenant.clients.blobs.delete_container("evidence")
    assert "evidence: 404" in assert_only(await tenant.examine(), "containers", Mark.WRONG, "deploy infra/").found


@pytest.mark.parametrize("refusal", [Refusal("GET", r"/items", 503, "ServerBusy")])
async def test_storage_ill(tenant: Clinic, refusal: Refusal) -> None:
    """Storage that is busy or ill proves nothing either way."""
    async with refusing_proxy(tenant.connection, refusal) as proxy:
        findings = await tenant.examine({"SubmissionsStorage": proxy.connection}, write=False)
    assert_only(findings, "tables", Mark.UNCLEAR, "health")


# --- The clock ------------------------------------------------------------------------------------------------------


class WrongClock(SystemClock):
    """The machine's clock, off by some minutes."""

    def __init__(self, minutes: float) -> None:
        self._off = timedelta(minutes=minutes)

    def now(self) -> datetime:
        """The time that this clock tells."""
        return datetime.now(UTC) + self._off


@pytest.mark.parametrize(("minutes", "side"), [(10, "ahead"), (-10, "behind")])
async def test_a_clock_that_is_off(tenant: Clinic, minutes: float, side: str) -> None:
    """Ten minutes are told, with the side, and nothing else fails for it."""

    def change(tools: Instruments) -> Instruments:
        return replace(tools, clock=WrongClock(minutes))

    found = assert_only(await tenant.examine(write=False, change=change), "clock", Mark.WRONG, "Set this machine").found
    assert re.search(rf"(599|600|601) seconds {side}", found)


async def test_a_clock_that_is_nearly_right(tenant: Clinic) -> None:
    """What the planner allows for is no fault."""
    near: Callable[[Instruments], Instruments] = lambda tools: replace(tools, clock=WrongClock(-2 / 60))  # noqa: E731
    assert failing(await tenant.examine(write=False, change=near)) == []


async def test_the_control_mailbox_is_the_healthy_one(tenant: Clinic) -> None:
    """Without a fault nothing fails: what the tests above see comes from their faults."""
    findings = await tenant.examine(SOURCES)
    assert failing(findings) == []
    assert CONTROL_MAILBOX in by_name(findings, "control_mailbox").tried
