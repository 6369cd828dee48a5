"""The real reported mails, wrapped as the Report button would, through the whole app and the simulator.

Where they name a recipient of the tenant, storage is Azurite; where the reporter is taken for it, memory.
"""

import email
import email.message
import re
from datetime import timedelta
from pathlib import Path

import pytest

from local.graph_simulator import SimulatedTenant
from local.sample_tenant import DOMAINS, PEOPLE, TENANT_ID
from shared.domain.model import Category, Outcome, State
from tests.support.reports import report, rows_by_report, submissions
from tests.support.stage import Stage, assert_feed_is_whole, stage

CATEGORIES = (Category.PHISHING, Category.SPAM, Category.NOT_JUNK)
COLLECTED_FOR = "pot.example"
"""The collectors wrote `phishing@pot` for every recipient; no tenant has a domain of one label, so it gets a second."""
GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
ADDRESS = re.compile(r"[^\s<>,;:\"'()]+@[^\s<>,;:\"'()]+")
"""Python's own reader of address lists differs between patch releases on malformed lists, which these mails have."""
DISPLAY_NAME = re.compile(r'"[^"]*"\s*(?=<)')
"""One of the mails has a tenant's address as a display name, before a stranger's."""
QUOTA_FREE_AGAIN = timedelta(minutes=16)


def read_real_mail(path: Path) -> bytes:
    """The mail as it lies there, its recipients in a domain that a tenant can have."""
    return path.read_bytes().replace(b"phishing@pot", b"phishing@" + COLLECTED_FOR.encode())


def network_message_id(mail: email.message.Message) -> str | None:
    """What Exchange wrote into the mail, read by Python's own parser.

    Two of the mails have none, and in one it was spoilt when the collectors replaced the addresses.
    """
    named = (mail["X-MS-Exchange-Organization-Network-Message-Id"], mail["X-MS-Office365-Filtering-Correlation-Id"])
    return next((found for value in named if (found := guid_or_none(str(value)))), None)


def guid_or_none(text: str) -> str | None:
    """The GUID in lower case, or None where the text is none."""
    return text.strip().lower() if GUID.fullmatch(text.strip()) else None


def recipient(mail: email.message.Message, reporter: str, domains: tuple[str, ...]) -> str:
    """The first address of the tenant that the mail names, or the reporter."""
    named = [str(value) for name in ("To", "Cc") for value in mail.get_all(name, [])]
    addresses = [one for value in named for one in ADDRESS.findall(DISPLAY_NAME.sub("", value))]
    found = [one for one in addresses if one.rpartition("@")[2].lower() in domains]
    return found[0] if found else reporter


@pytest.mark.timeout(200)
@pytest.mark.parametrize("are_named", [False, True], ids=["reporter", "named"])
async def test_each_real_mail_is_submitted_once_and_settled(
    request: pytest.FixtureRequest, reported_mail: list[Path], are_named: bool
) -> None:
    """Each has one submission with its own category, recipient and network message id, and a final verdict."""
    domains = (*DOMAINS, COLLECTED_FOR) if are_named else DOMAINS
    connection = request.getfixturevalue("storage_connection") if are_named else None
    tenant = SimulatedTenant(tenant_id=TENANT_ID, domains=domains)
    expected = {}
    async with stage(connection=connection, tenant=tenant, TENANT_DOMAINS=",".join(domains)) as on:
        for number, path in enumerate(reported_mail):
            content = read_real_mail(path)
            reporter, category = PEOPLE[number % len(PEOPLE)], CATEGORIES[number % len(CATEGORIES)]
            mail = email.message_from_bytes(content)
            message_id = report(on, content, reporter=reporter, category=category)
            expected[message_id] = (category, recipient(mail, reporter, domains), network_message_id(mail))
        outcomes = await on.finish(rows=len(reported_mail), step=QUOTA_FREE_AGAIN)
        assert {outcome.state for outcome in outcomes} == {State.SETTLED}
        assert {key: facts(row) for key, row in (await rows_by_report(on)).items()} == expected
        assert_submitted_once(on, outcomes)
        assert_feed_is_whole(outcomes, await on.feed())


def facts(row: Outcome) -> tuple[Category | None, str | None, str | None]:
    """What a row says of the original."""
    return row.category, row.recipient, row.network_message_id


def assert_submitted_once(on: Stage, outcomes: list[Outcome]) -> None:
    """Microsoft has one submission for each row, and it says what the row says."""
    at_microsoft = {
        one.id: (one.request.category, one.request.recipient, guid_or_none(one.request.network_message_id))
        for one in submissions(on)
    }
    assert {row.graph_submission_id: facts(row) for row in outcomes} == at_microsoft
    assert len(at_microsoft) == len(outcomes)
