"""Answers to reporters: each fault of their mailbox, rights and texts makes exactly its line fail."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from local.graph_simulator.faults import Scope, answer_status, throttle
from local.sample_tenant import CONTROL_MAILBOX, REPORTING_MAILBOX
from shared.bootstrap import connect
from shared.doctor.findings import Mark
from shared.settings import Settings
from tests.doctor.clinic import Clinic, by_name, clinic
from tests.doctor.test_faults import assert_only

BOX = "answers@contoso.example"
ON = {"REPORTER_FEEDBACK": "verdict", "FEEDBACK_MAILBOX": BOX}
LINES = ("feedback_mailbox", "feedback_send", "feedback_others", "feedback_texts")
SEND = Scope(path="sendMail")


@pytest.fixture
async def tenant(storage_connection: str) -> AsyncIterator[Clinic]:
    """Yield a healthy tenant that answers reporters."""
    async with clinic(storage_connection) as healthy, AsyncExitStack() as resources:
        await connect(Settings.load({**healthy.environment, **ON}), resources)
        healthy.graph.control.add_mailbox(BOX, app_may_send=True)
        yield healthy


def remake(tenant: Clinic, address: str, *, app_may_read: bool = True, app_may_send: bool = False) -> None:
    """Let a mailbox have other rights."""
    found = tenant.graph.tenant.find_mailbox(address)
    assert found is not None
    found.app_may_read, found.app_may_send = app_may_read, app_may_send


async def test_all_is_well_and_no_mail_left(tenant: Clinic) -> None:
    """Four lines more, all of them right; nothing was sent, neither from there nor from the others that are tried."""
    findings = await tenant.examine(ON)
    assert {by_name(findings, name).mark for name in LINES} == {Mark.OK}
    assert f"{REPORTING_MAILBOX}, {CONTROL_MAILBOX}" in by_name(findings, "feedback_others").tried
    assert by_name(findings, "queues").tried == "read 6 queues"
    posts = [one for one in tenant.graph.log.select(method="POST") if "sendMail" in one.path]
    assert [(one.status, one.effect) for one in posts] == [(400, None), (403, None), (403, None)]


async def test_switched_off_none_of_it_is_looked_at(tenant: Clinic) -> None:
    """No line, no request."""
    findings = await tenant.examine()
    assert not {one.name for one in findings} & set(LINES)
    assert not any("sendMail" in one.path or BOX in one.path for one in tenant.graph.log.select())


async def test_a_mailbox_that_may_not_be_read(tenant: Clinic) -> None:
    """A lost answer could not be looked up; whether it may send comes after that."""
    remake(tenant, BOX, app_may_read=False, app_may_send=True)
    findings = await tenant.examine(ON, write=False)
    assert_only(findings, "feedback_mailbox", Mark.WRONG, r"-FeedbackMailbox.*`Application Mail\.Read`")
    assert by_name(findings, "feedback_send").found == "feedback_mailbox comes first"


async def test_a_mailbox_that_may_not_send(tenant: Clinic) -> None:
    """The right and the script that grants it are named."""
    remake(tenant, BOX)
    assert_only(await tenant.examine(ON, write=False), "feedback_send", Mark.WRONG, r"`Application Mail\.Send`")


@pytest.mark.parametrize("code", ["ErrorInvalidUser", "MailboxNotEnabledForRESTAPI"])
async def test_a_mailbox_that_is_not_there(tenant: Clinic, code: str) -> None:
    """A wrong setting, or a mailbox that is not in the cloud."""
    tenant.graph.control.add_fault(answer_status(404, Scope(path=f"users/{BOX.partition('@')[0]}"), code=code))
    remedy = "FEEDBACK_MAILBOX" if code == "ErrorInvalidUser" else "Exchange Online"
    assert_only(await tenant.examine(ON, write=False), "feedback_mailbox", Mark.WRONG, remedy)


@pytest.mark.parametrize("address", [REPORTING_MAILBOX, CONTROL_MAILBOX])
async def test_another_mailbox_that_the_app_may_send_as(tenant: Clinic, address: str) -> None:
    """It is named, and the script that finds out why."""
    remake(tenant, address, app_may_read=address != CONTROL_MAILBOX, app_may_send=True)
    finding = assert_only(await tenant.examine(ON, write=False), "feedback_others", Mark.WRONG, "exchange-access")
    assert finding.found == f"the app may send as {address}"


async def test_a_busy_graph_proves_nothing_of_rights(tenant: Clinic) -> None:
    """Neither that the app may nor that it may not."""
    for fault in (throttle("9", SEND), answer_status(503, SEND)):
        tenant.graph.control.clear_faults()
        tenant.graph.control.add_fault(fault)
        findings = await tenant.examine(ON, write=False)
        assert [by_name(findings, name).mark for name in LINES[1:3]] == [Mark.UNCLEAR, Mark.UNCLEAR]
    tenant.graph.control.clear_faults()
    tenant.graph.control.add_fault(answer_status(202, SEND))
    findings = await tenant.examine(ON, write=False)
    assert [by_name(findings, name).mark for name in LINES[1:3]] == [Mark.UNCLEAR, Mark.WRONG]


@pytest.mark.parametrize(
    ("content", "language", "told"),
    [
        (b"not = [toml", "en", "en.toml: the whole file: not_toml"),
        (
            b'[clean]\nsubject = "Hi {name}"\ntitle = "t"\nfound = "f"\nadvice = ["a"]\n',
            "en",
            "clean: unknown_placeholder",
        ),
        (None, "fr", "no fr.toml, and none is shipped"),
    ],
)
async def test_texts_that_break_a_rule(tenant: Clinic, content: bytes | None, language: str, told: str) -> None:
    """File, text and rule are named."""
    if content is not None:
        container = tenant.clients.blobs.get_container_client("feedback-texts")
        await container.upload_blob(f"{language}.toml", content)
    findings = await tenant.examine({**ON, "FEEDBACK_LANGUAGE": language}, write=False)
    assert told in assert_only(findings, "feedback_texts", Mark.WRONG, "pload it").found


async def test_texts_that_are_right(tenant: Clinic) -> None:
    """A text that replaces a shipped one is told."""
    text = b'[clean]\nsubject = "All is well"\ntitle = "t"\nfound = "f {subject}"\nadvice = ["a"]\n'
    await tenant.clients.blobs.get_container_client("feedback-texts").upload_blob("de.toml", text)
    findings = await tenant.examine({**ON, "FEEDBACK_LANGUAGE": "de"}, write=False)
    assert by_name(findings, "feedback_texts").found == "de.toml is right"
