"""The doctor inside the deployed app: asked for by a row, run once, answered in that row, and no harm to settling."""

import json
import signal
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from local.memory_storage import MemoryTable
from local.sample_tenant import CONTROL_MAILBOX
from shared.adapters.storage import AzureTable
from shared.doctor.asking import Answer, NoExaminationError, Patience, ask_app, read_answer
from shared.doctor.findings import Mark
from shared.doctor.in_app import examine_for
from shared.doctor.rendering import as_json
from shared.settings import Settings
from shared.stores.examinations import PARTITION, ExaminationRequest, Examinations
from tests.doctor.clinic import Clinic, clinic, failing
from tests.doctor.processes import ended, run_doctor, run_settle, started
from tests.doctor.refusing_proxy import Refusal, refusing_proxy
from tests.support.stage import START, StageClock

ASK = ("-W", "error", "-m", "shared.doctor", "--in-app", "--output", "json")
REQUEST = ExaminationRequest("one", START, write=True, control_mailbox=CONTROL_MAILBOX)
OTHER = ExaminationRequest("two", START)


@pytest.fixture
async def tenant(storage_connection: str) -> AsyncIterator[Clinic]:
    """Yield a healthy tenant."""
    async with clinic(storage_connection) as healthy:
        yield healthy


@pytest.fixture
def clock() -> StageClock:
    """Return a clock that the test moves."""
    return StageClock()


@pytest.fixture
def examinations(clock: StageClock) -> Examinations:
    """Return the row in memory, where nobody has asked yet."""
    return Examinations(MemoryTable(), clock)


def stored(tenant: Clinic) -> Examinations:
    """Return the row in the tenant's storage."""
    return Examinations(AzureTable(tenant.clients.tables.get_table_client("runstate")), StageClock())


# --- The whole way --------------------------------------------------------------------------------------------------


async def test_the_round_trip(tenant: Clinic) -> None:
    """The command asks, the function finds it at its next run, examines as the app, and the command shows that."""
    arguments = (*ASK, "--write", "--control-mailbox", CONTROL_MAILBOX)
    async with started(tenant.environment, *arguments) as command:
        assert command.stderr is not None
        assert b"asked" in await command.stderr.readline()
        app = await run_settle(tenant.environment)
        shown = await ended(command)
    assert (app.exit_code, shown.exit_code) == (0, 0), (app.errors, shown.errors)
    assert "event=examined count=" in app.errors
    here = await run_doctor(tenant.environment, "--output", "json", "--write", "--control-mailbox", CONTROL_MAILBOX)
    assert json.loads(shown.output) == json.loads(here.output)
    state = await stored(tenant).state()
    assert state is not None
    assert state.answer is not None


async def test_a_fault_is_seen_from_here(tenant: Clinic) -> None:
    """What the app's doctor finds wrong ends the command with 1."""
    async with started(tenant.environment, *ASK) as command:
        assert command.stderr is not None
        await command.stderr.readline()
        await tenant.clients.queues.delete_queue("submissions")
        async with refusing_proxy(tenant.connection, Refusal("GET", "/submissions$")) as proxy:
            await run_settle(tenant.environment | {"SubmissionsStorage": proxy.connection})
        shown = await ended(command)
    assert shown.exit_code == 1
    assert [one["name"] for one in json.loads(shown.output)["lines"] if one["mark"] == "WRONG"] == ["queues"]


async def test_without_a_request_nothing_of_it_is_imported(tenant: Clinic) -> None:
    """A run that nobody asked pays one read: the doctor stays on disk."""
    app = await run_settle(tenant.environment)
    assert app.exit_code == 0, app.errors
    assert [name for name in app.output.split() if name.startswith("shared.doctor")] == []
    assert "shared.bootstrap" in app.output.split()
    assert "event=examined" not in app.errors


async def test_trouble_with_the_row_is_no_trouble_of_settling(tenant: Clinic) -> None:
    """Where the row cannot be read, the run has its heartbeat all the same, and one event tells why."""
    async with refusing_proxy(tenant.connection, Refusal("GET", "/runstate.*examination")) as proxy:
        app = await run_settle(tenant.environment | {"SubmissionsStorage": proxy.connection})
    assert app.exit_code == 0, app.errors
    assert "event=run_finished function=settle_outcomes" in app.errors
    assert "event=examined count=0 wrong=0 error=HttpResponseError" in app.errors


async def test_ctrl_c_takes_the_request_back(tenant: Clinic) -> None:
    """Whoever stops waiting leaves nothing that the app would begin."""
    async with started(tenant.environment, *ASK) as command:
        assert command.stderr is not None
        await command.stderr.readline()
        command.send_signal(signal.SIGINT)
        assert (await ended(command)).exit_code == 130
    assert await stored(tenant).begin() is None
    row = await tenant.clients.tables.get_table_client("runstate").get_entity(PARTITION, "examination")
    assert "WithdrawnAt" in row


async def test_the_table_alone_is_needed(tenant: Clinic) -> None:
    """With the table's address no other setting is; without it and without settings the command says what it needs."""
    nothing = await run_doctor({}, "--in-app")
    assert (nothing.exit_code, "--table-service-uri https://" in nothing.errors) == (2, True)
    insecure = await run_doctor({}, "--in-app", "--table-service-uri", "http://data.table.core.windows.net")
    assert (insecure.exit_code, "https://" in insecure.errors) == (2, True)
    async with refusing_proxy(tenant.connection, Refusal("PUT", "/runstate")) as proxy:
        refused = await run_doctor(tenant.environment | {"SubmissionsStorage": proxy.connection}, "--in-app")
    assert (refused.exit_code, "403 AuthorizationPermissionMismatch" in refused.errors) == (1, True)


# --- The app's side -------------------------------------------------------------------------------------------------


async def test_a_request_is_begun_once(examinations: Examinations) -> None:
    """Whoever comes second finds nothing to do, also when the first has not answered yet."""
    assert await examinations.begin() is None
    await examinations.ask(REQUEST)
    assert await examinations.begin() == REQUEST
    assert await examinations.begin() is None
    await examinations.answer(REQUEST, "text")
    assert await examinations.begin() is None
    await examinations.ask(OTHER)
    assert await examinations.begin() == OTHER


@pytest.mark.parametrize(("age_min", "is_begun"), [(59, True), (61, False), (-61, False)])
async def test_an_old_request_is_left_alone(
    examinations: Examinations, clock: StageClock, age_min: int, is_begun: bool
) -> None:
    """After an hour nobody waits any more; a clock an hour off is no reason to begin either."""
    await examinations.ask(REQUEST)
    clock.advance(minutes=age_min)
    assert (await examinations.begin() is not None) == is_begun


async def test_an_answer_to_nobody_is_dropped(examinations: Examinations) -> None:
    """Where another was asked for meanwhile, the first one's answer does not take its place."""
    await examinations.ask(REQUEST)
    await examinations.begin()
    await examinations.ask(OTHER)
    await examinations.answer(REQUEST, "late")
    state = await examinations.state()
    assert state is not None
    assert (state.request_id, state.is_begun, state.answer) == ("two", False, None)


async def test_a_long_answer_comes_back_whole(examinations: Examinations) -> None:
    """It is longer than a property of a row may be."""
    text = "".join(f"{number:07d}" for number in range(60_000))
    await examinations.ask(REQUEST)
    await examinations.begin()
    await examinations.answer(REQUEST, text)
    state = await examinations.state()
    assert state is not None
    assert state.answer == text


async def test_a_doctor_that_fails_answers_so(tenant: Clinic, examinations: Examinations) -> None:
    """What ends the examination is its answer, not the settling's error."""
    broken = Settings.load(tenant.environment | {"SubmissionsStorage": "AccountName=;AccountKey="})
    await examinations.ask(REQUEST)
    await examine_for(REQUEST, broken, examinations)
    state = await examinations.state()
    assert state is not None
    assert read_answer(state.answer or "") == Answer([], "ValueError")


async def test_what_is_no_address_is_no_control_mailbox(tenant: Clinic, examinations: Examinations) -> None:
    """A row that somebody filled by hand reaches no mailbox but by its address."""
    request = ExaminationRequest("one", START, control_mailbox="../../me")
    await examinations.ask(request)
    await examine_for(request, Settings.load(tenant.environment), examinations)
    state = await examinations.state()
    assert state is not None
    findings = read_answer(state.answer or "").findings
    assert failing(findings) == []
    assert [one.mark for one in findings if one.name == "control_mailbox"] == [Mark.NOT_TRIED]


# --- The administrator's side ---------------------------------------------------------------------------------------


async def wait(examinations: Examinations, clock: StageClock, told: list[str]) -> Answer:
    """Ask and wait a minute, looking every five seconds of the stage's time."""
    return await ask_app(examinations, REQUEST, told.append, clock=clock, patience=Patience(60, 5))


async def test_an_app_that_does_not_look(examinations: Examinations, clock: StageClock) -> None:
    """After the whole time the request is taken back, and the reason points at the timer."""
    with pytest.raises(NoExaminationError, match="settle_outcomes does not run"):
        await wait(examinations, clock, [])
    assert clock.time - START >= timedelta(seconds=60)
    assert await examinations.begin() is None


class Interloper(StageClock):
    """A clock during whose first sleep something happens to the row."""

    def __init__(self, examinations: Examinations, event: str) -> None:
        super().__init__()
        self._examinations = examinations
        self._event = event

    async def sleep(self, seconds: float) -> None:
        """Let it happen, then let time pass."""
        event, self._event = self._event, ""
        if event == "begins":
            await self._examinations.begin()
        elif event == "another":
            await self._examinations.ask(OTHER)
        elif event == "garbles":
            await self._examinations.answer(REQUEST, '{"lines": [{}]}')
        await super().sleep(seconds)


@pytest.mark.parametrize(
    ("event", "reason"),
    [("begins", "began and gave no answer"), ("another", "Somebody else"), ("garbles", "same version")],
)
async def test_what_else_can_happen(examinations: Examinations, event: str, reason: str) -> None:
    """An app that dies, another administrator, another version: each is told as what it is; another's request stays."""
    with pytest.raises(NoExaminationError, match=reason):
        await wait(examinations, Interloper(examinations, event), [])
    assert await examinations.begin() == (OTHER if event == "another" else None)


def test_an_examination_that_ended_early() -> None:
    """Its lines are shown, and it is not green."""
    assert read_answer(as_json([], "TimeoutError")) == Answer([], "TimeoutError")
    assert json.loads(as_json([], "TimeoutError"))["green"] is False
