"""The labelled mails as the product sees them: no mail taken for a copy of another, nearly all copies recognised."""

import pytest

from tests.campaigns.labelled_mails import labelled_mails
from tests.campaigns.rewriting import SERVICES, SILENT
from tests.campaigns.rewritten_mails import COPIES, rewritten_mails
from tests.campaigns.scoring import Labelled, Score, recognise, score


@pytest.fixture(scope="module", params=[labelled_mails, rewritten_mails], ids=["labelled", "rewritten"])
def scored(request: pytest.FixtureRequest) -> Score:
    """Return how well a set of labelled mails is told apart, in the order they arrive in."""
    return score(recognise(request.param()))


def test_no_mail_is_taken_for_a_copy_of_another(scored: Score) -> None:
    """Of all pairs, only copies of one campaign belong together."""
    assert scored.false_pairs == []
    assert scored.precision == 1


def test_nine_of_ten_copies_join_the_campaign_of_the_first(scored: Score) -> None:
    """In order of arrival, a mail joins the first campaign whose first member it belongs to, or begins one."""
    assert scored.copies >= 45
    assert scored.recall >= 0.9, scored.missed


def test_a_score_counts_what_is_wrong() -> None:
    """A false pair lowers the precision, a copy that stands alone the recall."""
    parcel, payroll = recognise(labelled_mails())[0], recognise(rewritten_mails())[8]
    mails = [
        Labelled("a-0", "a", parcel.known_by),
        Labelled("b", None, parcel.known_by),
        Labelled("a-1", "a", payroll.known_by),
        Labelled("a-2", "a", parcel.known_by),
    ]
    assert score(mails) == Score([("a-0", "b"), ("b", "a-2")], 3, ["a-1"], 2)


def test_the_rewritten_set_has_lures_through_every_service() -> None:
    """Each service has lures, and copies too where its links can be told apart."""
    mails = rewritten_mails()
    assert len({mail.mime for mail in mails}) == len(mails)
    assert sum(mail.campaign is None for mail in mails) >= 20 * COPIES
    services = {service for service in SERVICES if any((mail.campaign or "").startswith(service) for mail in mails)}
    assert services == SERVICES.keys() - SILENT.keys() | {"mimecast"}
