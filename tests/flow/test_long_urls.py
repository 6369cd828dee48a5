"""A URL longer than its column is submitted whole, and found again whole."""

import json

import pytest

from local.graph_simulator.faults import Scope, lose_answer
from shared.domain.model import State
from tests.support.stage import stage

URL = "https://login.contoso-example.test/reset?next=" + "a" * 1_990
REQUEST = {
    "schemaVersion": 1,
    "kind": "url",
    "category": "phishing",
    "requestedBy": "soc@contoso.example",
    "requestId": "case-1",
    "url": URL,
}


@pytest.mark.parametrize("is_answer_lost", [False, True], ids=["answered", "answer-lost"])
async def test_a_long_url_is_submitted_whole_and_once(is_answer_lost: bool) -> None:
    """The column keeps 1,000 characters; Microsoft gets all, and a lost answer is found by all of them."""
    async with stage() as on:
        if is_answer_lost:
            on.graph.control.add_fault(lose_answer(Scope(method="POST", times=1)))
        await on.ports.queues["manual-submissions"].send(json.dumps(REQUEST))
        (outcome,) = await on.finish(rows=1)
        assert (outcome.state, outcome.url) == (State.SETTLED, URL[:1000])
        (submission,) = on.graph.control.list_submissions()
        assert submission.request.item_key.endswith(URL)
