"""Advanced hunting in the Graph simulator: canned rows, refused bodies, limits."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from local.graph_simulator import GraphSimulator, HuntingLimits, HuntingQuery

HUNT = "/v1.0/security/runHuntingQuery"
QUERY = 'EmailEvents | where Subject has "it\'s | (x" // (why\n| project NetworkMessageId'
START = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        """Return the instant the test chose."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Return the clock of the simulator."""
    return Clock()


@pytest.fixture
async def graph(clock: Clock) -> AsyncIterator[GraphSimulator]:
    """Serve a tenant in which `QUERY` finds one row."""
    async with GraphSimulator(clock=clock) as simulator:
        simulator.control.set_hunting_rows(QUERY, ({"NetworkMessageId": "n1"},))
        yield simulator


@pytest.fixture
async def client(graph: GraphSimulator) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client that sends a token."""
    async with httpx.AsyncClient(base_url=graph.base_url, headers={"Authorization": "Bearer local"}) as http:
        yield http


@pytest.mark.parametrize(
    "path", [HUNT, HUNT.replace("v1.0", "beta"), HUNT.replace("run", "microsoft.graph.security.run")]
)
async def test_a_query_gets_the_rows_set_for_it(client: httpx.AsyncClient, path: str) -> None:
    """Whatever its white space, under the documented path and the one of the generated clients."""
    answer = (await client.post(path, json={"Query": QUERY.replace(" |", "  |")})).json()
    assert answer["results"] == [{"NetworkMessageId": "n1"}]
    assert answer["schema"] == [{"name": "NetworkMessageId", "type": "String"}]


async def test_columns_have_the_types_of_their_values(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """A value missing in one row is null; the first value of a column decides its type."""
    first = {"Timestamp": "2026-11-23T08:00:00.1234567Z", "Bad": True, "Count": 3, "Share": None}
    graph.control.set_hunting_rows("*", (first, {"Count": "4", "Share": 0.5, "Names": ["a"]}))
    answer = (await client.post(HUNT, json={"Query": "Other"})).json()
    assert {column["name"]: column["type"] for column in answer["schema"]} == {
        "Timestamp": "DateTime",
        "Bad": "SByte",
        "Count": "Int64",
        "Share": "Double",
        "Names": "Object",
    }
    assert answer["results"][1] == {"Timestamp": None, "Bad": None, "Count": "4", "Share": 0.5, "Names": ["a"]}


async def test_no_rows_are_an_answer(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """Found nothing, and said so; a query nobody prepared is told apart from it."""
    graph.control.set_hunting_rows("Empty", ())
    answer = (await client.post(HUNT, json={"Query": "Empty"})).json()
    assert (answer["schema"], answer["results"]) == ([], [])
    assert (await client.post(HUNT, json={"Query": "Unprepared"})).status_code == 501


@pytest.mark.parametrize(
    "timespan",
    [
        "P1D",
        "PT12H30M",
        "P1DT1S",
        "2026-11-01T08:00:00Z",
        "2026-11-01T08:00:00Z/2026-11-15T08:00:00Z",
        "P30D/2026-11-15T08:00:00Z",
        "2026-11-01T08:00:00Z/P30D",
    ],
)
async def test_a_timespan_has_one_of_five_forms(
    graph: GraphSimulator, client: httpx.AsyncClient, timespan: str
) -> None:
    """A test can read which one was sent."""
    assert (await client.post(HUNT, json={"Query": QUERY, "Timespan": timespan})).status_code == 200
    assert graph.control.list_hunting_queries() == (HuntingQuery(START, QUERY, timespan),)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"Query": ""},
        {"Query": 3},
        {"Query": QUERY, "query": QUERY},
        {"Query": QUERY, "Other": 1},
        {"Query": "EmailEvents |"},
        {"Query": "| where x"},
        {"Query": "EmailEvents || count"},
        {"Query": "EmailEvents | where (x"},
        {"Query": "EmailEvents | where x)"},
        {"Query": "EmailEvents | where (x]"},
        {"Query": "EmailEvents | where x == 'open"},
        {"Query": 'EmailEvents | where x == "open'},
        {"Query": QUERY, "Timespan": 1},
        {"Query": QUERY, "Timespan": ""},
        {"Query": QUERY, "Timespan": "1d"},
        {"Query": QUERY, "Timespan": "P"},
        {"Query": QUERY, "Timespan": "P1D/P1D"},
        {"Query": QUERY, "Timespan": "2026-11-01"},
        {"Query": QUERY, "Timespan": "P1D/2026-11-01T08:00:00Z/P1D"},
    ],
)
async def test_a_wrong_body_is_refused(
    graph: GraphSimulator, client: httpx.AsyncClient, body: dict[str, object]
) -> None:
    """A missing query, a syntax error, an unknown parameter, a timespan in no known form."""
    graph.control.set_hunting_rows("*", ())
    response = await client.post(HUNT, json=body)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "BadRequest")
    assert graph.control.list_hunting_queries() == ()


async def test_the_request_must_be_a_post_of_json(client: httpx.AsyncClient) -> None:
    """Other methods, other content, and query options are refused."""
    answers = [
        await client.get(HUNT),
        await client.post(HUNT, content=b'{"Query": "x"}', headers={"Content-Type": "text/plain"}),
        await client.post(HUNT, content=b"[1]", headers={"Content-Type": "application/json"}),
        await client.post(f"{HUNT}?$top=1", json={"Query": QUERY}),
        await client.post(f"{HUNT}/more", json={"Query": QUERY}),
    ]
    assert [answer.status_code for answer in answers] == [405, 415, 400, 400, 400]


async def test_the_tenant_has_so_many_calls_a_minute(
    graph: GraphSimulator, client: httpx.AsyncClient, clock: Clock
) -> None:
    """The next one is told when to come back, and is served then."""
    graph.control.set_hunting_limits(HuntingLimits(calls_per_minute=2))
    for _ in range(2):
        assert (await client.post(HUNT, json={"Query": QUERY})).status_code == 200
        clock.now += timedelta(seconds=20)
    refused = await client.post(HUNT, json={"Query": QUERY})
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "20")
    assert graph.log.select()[-1].throttle == "hunting_1_min"
    clock.now += timedelta(seconds=20)
    assert (await client.post(HUNT, json={"Query": QUERY})).status_code == 200


async def test_an_answer_has_so_many_rows_at_most(graph: GraphSimulator, client: httpx.AsyncClient) -> None:
    """100,000 unless a test chooses less; the rest is missing without a word."""
    graph.control.set_hunting_rows("*", tuple({"N": number} for number in range(100_001)))
    assert len((await client.post(HUNT, json={"Query": "All"})).json()["results"]) == 100_000
    graph.control.set_hunting_limits(HuntingLimits(rows=3))
    assert [row["N"] for row in (await client.post(HUNT, json={"Query": "All"})).json()["results"]] == [0, 1, 2]
