"""The permissions in Graph are those that the code needs, under each setting, and none for mail is among them."""

import json
from collections.abc import Collection
from typing import Any

import pytest

from local.azurite import Azurite
from local.graph_simulator import RequestRecord
from tests.flow import test_sources, test_wire
from tests.infra.grants import INFRA
from tests.infra.graph_permissions import EXCHANGE_ROLES, IDS, permissions_for
from tests.infra.recording import be_examined, live_through
from tests.support.stage import START, stage

LISTED = json.loads((INFRA / "graph-permissions.json").read_text())
EVERYTHING = {*EXCHANGE_ROLES, *(row["name"] for row in LISTED)}
SOURCES = {
    "USER_SUBMISSIONS": {"USER_SUBMISSIONS": "on"},
    "DEFENDER_ALERTS": {"DEFENDER_ALERTS": "on"},
    "HUNTING_QUERY": {"HUNTING_QUERY": test_sources.QUERY},
}


async def requests_with(settings: dict[str, Any]) -> tuple[RequestRecord, ...]:
    """Return what the app asks of Graph under these settings, with something there from every source."""
    async with stage(**settings) as on:
        test_sources.put_everything(on)
        await test_wire.put_everything(on)
        for _ in range(4):
            await on.round()
            on.clock.advance(minutes=15)
        return on.graph.log.select()


def refused(requests: Collection[RequestRecord], granted: Collection[str]) -> set[tuple[str, str]]:
    """Return the requests that none of the permissions allows; one without a token needs none."""
    with_token = (one for one in requests if "authorization" in one.headers)
    return {(one.method, one.path) for one in with_token if permissions_for(one).isdisjoint(granted)}


def listed_for(*when: str) -> set[str]:
    """Return the permissions of the list that are for these cases."""
    return {row["name"] for row in LISTED if row["when"] in when}


@pytest.mark.parametrize("setting", [None, *SOURCES])
async def test_each_setting_needs_what_is_listed_for_it(setting: str | None) -> None:
    """With what is always granted and what the setting asks for nothing is refused; without any one something is."""
    requests = await requests_with(SOURCES[setting] if setting else {})
    granted = {EXCHANGE_ROLES[0], *listed_for("always", setting or "")}
    assert refused(requests, granted) == set()
    assert all(refused(requests, granted - {one}) for one in granted)


@pytest.mark.expects_error_log
async def test_the_whole_life_needs_the_whole_list(azurite: Azurite) -> None:
    """Whatever the app ever asks of Graph is allowed, and every permission of the list is needed."""
    requests = (await live_through(azurite.new_account())).graph
    assert refused(requests, EVERYTHING) == set()
    assert all(refused(requests, EVERYTHING - {one}) for one in EVERYTHING)


async def test_the_doctor_needs_no_more(azurite: Azurite) -> None:
    """An examination asks Graph for nothing that the app has no permission for."""
    requests = (await be_examined(azurite.new_account())).graph
    assert requests
    assert refused(requests, EVERYTHING) == set()


def test_the_list_is_well_formed() -> None:
    """Each permission has its fixed id, a reason, and the case in which it is asked for."""
    assert {row["name"]: row["id"] for row in LISTED} == IDS
    assert all(row.keys() == {"name", "id", "reason", "when"} and len(row["reason"]) > 10 for row in LISTED)
    assert {row["when"] for row in LISTED} <= {"always", *SOURCES}


def test_mail_is_granted_in_exchange_alone() -> None:
    """A permission for mail in Entra would open every mailbox of the tenant, whatever Exchange limits."""
    assert not [row for row in LISTED if row["name"].startswith(("Mail", "User.", "Directory."))]
    script = (INFRA / "scripts" / "exchange-access.ps1").read_text()
    assert all(role in script for role in EXCHANGE_ROLES)
    assert "CustomResourceScope" in script


@pytest.mark.parametrize("path", ["graph/*.bicep", "scripts/*.sh"])
def test_who_grants_reads_the_list(path: str) -> None:
    """Ids of permissions stand in the list alone; the Bicep file and the script read it."""
    files = sorted(INFRA.glob(path))
    texts = [file.read_text() for file in files]
    assert any("graph-permissions.json" in text for text in texts), files
    assert not [one for one in IDS.values() if any(one in text for text in texts)]


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("POST", "/v1.0/users/anna@contoso.example/messages"),
        ("PATCH", "/beta/security/threatSubmission/emailThreatSubmissionPolicies"),
    ],
)
def test_no_request_passes_unknown(verb: str, path: str) -> None:
    """A request that no method of the table is about is an error: somebody has to look its permission up first."""
    unknown = RequestRecord(1, START, verb, path, "", {}, 200)
    with pytest.raises(ValueError, match="no permission is known"):
        permissions_for(unknown)
