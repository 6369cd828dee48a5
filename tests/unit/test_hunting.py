"""What a hunting row asks for: a message that intake takes, and always the same one."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.codecs.manual_message import read_manual_message
from shared.domain.hunting import HuntingRules, message_of
from shared.domain.model import Category, Kind, Priority
from shared.domain.requests import MessageByInternetId
from tests.support.outcomes import NOW

RULES = HuntingRules("EmailEvents | take 5", Category.PHISHING, "reports@contoso.example")
MAIL = {"InternetMessageId": "<a@evil.example>", "RecipientEmailAddress": "Bob@contoso.example"}
COLUMNS = ["InternetMessageId", "RecipientEmailAddress", "NetworkMessageId", "Url", "Category", "Timestamp"]

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def asked(row: dict[str, Any], rules: HuntingRules = RULES) -> dict[str, object]:
    """The message of a row that names something."""
    message = message_of(row, rules)
    assert message is not None
    return message


def test_a_mail_is_asked_for_where_it_was_delivered() -> None:
    """Intake reads the message that the row becomes, and finds a mail of low priority in the recipient's mailbox."""
    request = read_manual_message(json.dumps(asked(MAIL)), now=NOW)
    assert (request.kind, request.category, request.priority) == (Kind.EMAIL, Category.PHISHING, Priority.LOW)
    assert request.message == MessageByInternetId("bob@contoso.example", "<a@evil.example>")
    assert request.requested_by == "reports@contoso.example"
    assert re.fullmatch("hunting query [0-9a-f]{12}", request.reason or "")


def test_a_url_is_asked_for_where_the_row_names_no_mail() -> None:
    """With its category where the row gives one."""
    request = read_manual_message(json.dumps(asked({"Url": "https://a.test/", "Category": "malware"})), now=NOW)
    assert (request.kind, request.url, request.category) == (Kind.URL, "https://a.test/", Category.MALWARE)
    assert asked({**MAIL, "Url": "https://a.test/"})["kind"] == "email"


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"NetworkMessageId": "1f"},
        {"InternetMessageId": "<a@b.test>"},
        {"RecipientEmailAddress": "bob@contoso.example"},
        {"Url": " "},
        {"Url": 7},
    ],
    ids=str,
)
def test_a_row_that_names_nothing_asks_for_nothing(row: dict[str, object]) -> None:
    """A network message id alone names no mail that Graph could find."""
    assert message_of(row, RULES) is None


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        (MAIL, {**MAIL, "Timestamp": "2026-11-24T00:00:00Z", "ReportId": "x"}, True),
        (MAIL, {**MAIL, "RecipientEmailAddress": "bob@CONTOSO.example"}, True),
        (MAIL, {**MAIL, "InternetMessageId": "a@evil.example"}, True),
        (MAIL, {**MAIL, "RecipientEmailAddress": "eve@contoso.example"}, False),
        (MAIL, {**MAIL, "InternetMessageId": "<b@evil.example>"}, False),
        (MAIL, {**MAIL, "Category": "spam"}, False),
        ({**MAIL, "NetworkMessageId": "1F"}, {**MAIL, "NetworkMessageId": "1f"}, True),
        ({**MAIL, "NetworkMessageId": "1f"}, {**MAIL, "NetworkMessageId": "2f"}, False),
        ({"Url": "https://A.test/x"}, {"Url": "https://a.test/x"}, True),
        ({"Url": "https://a.test/x"}, {"Url": "https://a.test/X"}, False),
    ],
)
def test_the_request_id_stands_for_item_and_claim(one: dict[str, Any], other: dict[str, Any], is_same: bool) -> None:
    """The same thing found again is the same request; another mail, recipient, URL or claim is not."""
    assert (asked(one)["requestId"] == asked(other)["requestId"]) is is_same


def test_another_query_asks_for_the_same_request() -> None:
    """An operator may word the query anew: what was asked for stays asked for."""
    reworded = HuntingRules("EmailEvents | take 6", Category.PHISHING, "reports@contoso.example")
    assert asked(MAIL)["requestId"] == asked(MAIL, reworded)["requestId"]
    assert asked(MAIL)["reason"] != asked(MAIL, reworded)["reason"]


@given(st.dictionaries(st.sampled_from(COLUMNS), anything))
def test_any_row_has_an_answer(row: dict[str, object]) -> None:
    """Whatever a column holds: a message with a request id that the queue takes, or none."""
    message = message_of(row, RULES)
    if message is not None:
        assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", str(message["requestId"]))
        json.dumps(message)
