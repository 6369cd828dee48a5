"""The grants are exactly what is needed: nothing is missing, none is left over, none is larger than it must be."""

import asyncio
import logging
import re
from collections.abc import Collection, Iterator
from functools import partial

import pytest

from local.azurite import Azurite
from shared.bootstrap import CONTAINERS, FEEDBACK_CONTAINERS, FEEDBACK_QUEUES, QUEUES, TABLES
from tests.infra.calls import calls_in_code
from tests.infra.grants import GROUPS, INFRA, Grant, group_ids, read_grants
from tests.infra.host_operations import DOCUMENTED_ROLES, HOST_OPERATIONS
from tests.infra.operations import NEEDS, Operation, Resource, Sent, operations
from tests.infra.recording import Recording, be_examined, live_through
from tests.infra.roles import ROLES

DEPLOYMENTS = ("trial", "production")
queue, table, container = (partial(Resource, "data", kind) for kind in ("queue", "table", "container"))

TASKS = {
    "operators": {
        Operation("Put Message", queue("manual-submissions")),
        Operation("Put Blob", container("submission-content")),
        Operation("Put Blob", container("feedback-texts")),
    },
    "pipelines": {
        Operation("Query Entities", table("outcomes")),
        Operation("Query Entities", table("outcomelog")),
        Operation("Query Entities", table("statistics")),
    },
    "administrators": {
        Operation("Query Entities", table("outcomes")),
        Operation("Query Entities", table("outcomelog")),
        Operation("Query Entities", table("statistics")),
        Operation("Insert Entity", table("statistics")),
        Operation("Update Entity", table("statistics")),
        Operation("Query Entities", table("worklist")),
        Operation("Query Entities", table("runstate")),
        Operation("Insert Or Replace Entity", table("runstate")),
        Operation("Get Blob", container("rejected-messages")),
    },
}
"""What the pages ask of people and their programs."""
EVERYTHING = (
    *(queue(name) for name in (*QUEUES, *FEEDBACK_QUEUES)),
    *(table(name) for name in TABLES),
    *(container(name) for name in (*CONTAINERS, *FEEDBACK_CONTAINERS)),
    Resource("data"),
    Resource("host"),
    Resource("applicationInsights"),
)


@pytest.fixture(scope="module")
def life(azurite: Azurite) -> Recording:
    """Record the app's whole life once, its troubles too: what it logs of them is no test's business here."""
    logging.disable(logging.CRITICAL)
    try:
        return asyncio.run(live_through(azurite.new_account()))
    finally:
        logging.disable(logging.NOTSET)


FOR_ANSWERS = {*map(queue, FEEDBACK_QUEUES), *map(container, FEEDBACK_CONTAINERS)}


@pytest.fixture
def needed(life: Recording) -> set[Operation]:
    """Return what the code and the Functions host do with the app's identity."""
    return life.operations() | {one.operation for one in HOST_OPERATIONS}


def needed_in(deployment: str, needed: set[Operation]) -> set[Operation]:
    """Return what is done in a deployment: the trial answers nobody."""
    return {one for one in needed if deployment == "production" or one.resource not in FOR_ANSWERS}


def grants_of(who: str, deployment: str = "production") -> list[Grant]:
    """Return the grants of one of the four."""
    return [grant for grant in read_grants(deployment) if grant.who == who]


def refused(needed: Collection[Operation], grants: Collection[Grant]) -> list[Operation]:
    """Return what none of the grants allows."""
    return sorted(one for one in needed if not any(grant.allows(one) for grant in grants))


def spare(needed: Collection[Operation], grants: list[Grant]) -> list[Grant]:
    """Return each grant without which everything would still be allowed."""
    return [one for one in grants if not refused(needed, [other for other in grants if other is not one])]


def oversized(needed: Collection[Operation], grants: list[Grant]) -> list[tuple[Resource, str, str]]:
    """Return each grant in whose place a smaller role would do, with that role."""
    found: list[tuple[Resource, str, str]] = []
    for grant in grants:
        own = refused(needed, [other for other in grants if other is not grant])
        smaller = [name for name in ROLES if is_smaller(name, grant.role)]
        would_do = (name for name in smaller if all(ROLES[name].allows(one.name) for one in own))
        found += [(grant.resource, grant.role, name) for name in would_do]
    return found


def is_smaller(one: str, other: str) -> bool:
    """Tell whether a role allows less than another, or as much of what we know with fewer permissions."""
    allowed, allowed_by_other = ({name for name in NEEDS if ROLES[role].allows(name)} for role in (one, other))
    return allowed < allowed_by_other or (allowed == allowed_by_other and ROLES[one].is_part_of(ROLES[other]))


# --- What is needed -------------------------------------------------------------------------------------------------


def test_the_recording_is_whole(life: Recording) -> None:
    """Whatever the code can call on a table, a queue or a container was called while it was recorded."""
    assert life.calls == calls_in_code(life.settings)


@pytest.mark.parametrize(
    "unknown",
    [
        Sent("queue", "PUT", "http://127.0.0.1/account/submissions?comp=acl", is_conditional=False),
        Sent("blob", "PUT", "http://127.0.0.1/account/evidence/a?comp=block", is_conditional=False),
        Sent("table", "POST", "http://127.0.0.1/account/Tables/$batch", is_conditional=False),
    ],
)
def test_no_request_passes_unknown(unknown: Sent) -> None:
    """A request of a shape that has no permission here is an error: somebody has to look it up first."""
    with pytest.raises(ValueError, match="no operation is known"):
        list(operations(unknown))


def test_transactions_count_at_the_account(life: Recording) -> None:
    """A transaction is addressed to the account, with everything that its parts need."""
    at_account = {one.name for one in life.operations() if one.resource == Resource("data")}
    assert at_account >= {"Insert Entity", "Update Entity", "Delete Entity"}


# --- What is granted to the app -------------------------------------------------------------------------------------


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_the_app_may_do_what_it_does(needed: set[Operation], deployment: str) -> None:
    """Every operation of the code and of the Functions host is allowed at its scope."""
    assert refused(needed_in(deployment, needed), grants_of("app", deployment)) == []


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_the_app_needs_every_grant(needed: set[Operation], deployment: str) -> None:
    """Without any one of its grants something would be refused."""
    assert spare(needed_in(deployment, needed), grants_of("app", deployment)) == []


def test_the_doctor_may_do_what_it_tries(azurite: Azurite) -> None:
    """An examination inside the app needs nothing beyond what the app needs anyway."""
    tried = asyncio.run(be_examined(azurite.new_account())).operations()
    assert refused(tried, grants_of("app")) == []


def test_no_smaller_role_would_do_for_the_app(needed: set[Operation]) -> None:
    """Each role is the smallest that suffices, or the one that Microsoft asks for by name."""
    found = oversized(needed, grants_of("app"))
    assert {(resource, role) for resource, role, _ in found} == set(DOCUMENTED_ROLES)


def test_only_what_is_addressed_to_an_account_is_granted_there(needed: set[Operation]) -> None:
    """A grant on a whole account is for operations that no queue, table or container of its own would cover."""
    for grant in grants_of("app"):
        if not grant.resource.kind:
            assert any(grant.allows(one) and not one.resource.kind for one in needed), grant


# --- What is granted to people --------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", GROUPS)
def test_people_may_do_their_tasks_and_no_more(who: str) -> None:
    """A group may do what the pages ask of it, by the smallest roles that allow it, and nothing anywhere else."""
    grants = grants_of(who)
    assert refused(TASKS[who], grants) == []
    assert spare(TASKS[who], grants) == []
    assert oversized(TASKS[who], grants) == []
    reached = {where for where in EVERYTHING for name in NEEDS if not refused([Operation(name, where)], grants)}
    assert reached == {task.resource for task in TASKS[who]}


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_only_named_groups_get_anything(deployment: str) -> None:
    """A group without an id gets nothing, and nobody else does."""
    named = {who for who, id_ in group_ids(deployment).items() if id_}
    assert {grant.who for grant in read_grants(deployment)} == {"app", *named}


def test_production_names_every_group() -> None:
    """What the other tests say of groups they say of all three."""
    assert all(group_ids("production").values())
    assert len(set(group_ids("production").values())) == len(GROUPS)


# --- How it is told -------------------------------------------------------------------------------------------------


def test_every_grant_has_a_reason_of_its_own() -> None:
    """Who looks at a resource's access in the portal reads why each assignment is there."""
    for grant in read_grants("production"):
        assert 10 < len(grant.reason) <= 256, grant
    reasons = [(grant.who, grant.reason) for grant in read_grants("production")]
    assert len(reasons) == len(set(reasons))


def test_no_other_file_grants_anything() -> None:
    """All role assignments stand in one file."""
    granting = {file.name for file in INFRA.rglob("*.bicep") if "roleAssignments@" in file.read_text()}
    assert granting == {"access.bicep"}


def test_the_settings_page_tells_every_grant() -> None:
    """The page's table of rights and the predicted deployment are the same list."""
    page = (INFRA.parent / "docs" / "settings.md").read_text()
    told = page.split("## Rights, and no more than these", 1)[1].split("\n\n")[1]
    assert set(told_grants(told)) == {(one.who, one.resource, one.role) for one in read_grants("production")}


def told_grants(told: str) -> Iterator[tuple[str, Resource, str]]:
    """Yield the Azure grants that a table tells: a row may name several resources and several roles."""
    whole = {"host's account": Resource("host"), "data account": Resource("data")}
    whole["Application Insights"] = Resource("applicationInsights")
    for line in told.splitlines()[2:]:
        who, where, right = (cell.strip() for cell in line.strip("|").split("|"))
        if where in ("Microsoft Graph", "Exchange Online"):
            continue
        kind = where.split(" ")[0].rstrip("s")
        resources = [Resource("data", kind, name) for name in re.findall("`([^`]+)`", where)] or [whole[where]]
        for resource in resources:
            yield from (("app" if who == "the app" else who, resource, role) for role in right.split(", "))
