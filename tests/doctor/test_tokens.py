"""What the doctor reads from tokens: made-up ones, unsigned, as no test has a tenant."""

import base64
import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from shared.doctor.claims import read_caller
from shared.doctor.findings import Mark, Result
from shared.doctor.graph_checks import roles_in_token
from shared.doctor.ground_checks import identity, scopes
from shared.doctor.ports import NoTokenError
from shared.doctor.roles import needed_roles
from shared.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
TENANT = "6b9d2f4e-3c1a-4f7e-9a55-0d1c2e3f4a5b"
ELSEWHERE = "11111111-2222-3333-4444-555555555555"
GRAPH = "https://graph.microsoft.com/.default"
STORAGE = "https://storage.azure.com/.default"
CLAIMS: dict[str, object] = {
    "tid": TENANT,
    "appid": "aaaaaaaa-0000-0000-0000-000000000001",
    "oid": "bbbbbbbb-0000-0000-0000-000000000002",
    "roles": ["ThreatSubmission.ReadWrite.All"],
    "upn": "private-4711",
}
IN_AZURE = {
    "AzureWebJobsStorage": "x",
    "SubmissionsStorage__queueServiceUri": "https://data.queue.core.windows.net",
    "SubmissionsStorage__tableServiceUri": "https://data.table.core.windows.net",
    "SubmissionsStorage__blobServiceUri": "https://data.blob.core.windows.net",
    "TENANT_ID": TENANT,
    "REPORTING_MAILBOXES": "phish-reports@contoso.example",
    "TENANT_DOMAINS": "contoso.example",
    "COLLECT_SCHEDULE": "0 */2 * * * *",
    "DISPATCH_SCHEDULE": "0 * * * * *",
    "SETTLE_SCHEDULE": "0 */5 * * * *",
}
SIGNATURE = "c2lnbmF0dXJl"


def jwt(**claims: object) -> str:
    """Return an unsigned token with these claims in place of the usual ones."""
    told = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not None}
    head, body = (
        base64.urlsafe_b64encode(json.dumps(one).encode()).decode().rstrip("=") for one in ({"alg": "none"}, told)
    )
    return f"{head}.{body}.{SIGNATURE}"


@dataclass
class MadeUpTokens:
    """The `Tokens` port with one token for everything, or none for some scope."""

    text: str = field(default_factory=jwt)
    none_for: str = ""
    asked: list[str] = field(default_factory=list)

    async def token(self, scope: str) -> str:
        """Give out the token."""
        self.asked.append(scope)
        if scope == self.none_for:
            raise NoTokenError("CredentialUnavailableError")
        return self.text


def settings(**more: str) -> Settings:
    """Return a deployed app's settings."""
    return Settings.load({**IN_AZURE, **more})


async def who(tokens: MadeUpTokens, **more: str) -> Result:
    """Return what the line `identity` finds; no token is ever in it."""
    result = await identity(tokens, settings(**more))
    assert SIGNATURE not in str(result)
    assert "4711" not in str(result)
    return result


async def roles(*held: str, **more: str) -> Result:
    """Return what the line `graph_roles` finds for a token with these roles."""
    return await roles_in_token(MadeUpTokens(jwt(roles=list(held))), settings(**more))


# --- Identity -------------------------------------------------------------------------------------------------------


async def test_the_app_in_its_tenant() -> None:
    """Tokens for Graph and for storage are asked for; the line names tenant, client id and object id."""
    tokens = MadeUpTokens()
    result = await who(tokens)
    assert (result.mark, tokens.asked) == (Mark.OK, [GRAPH, STORAGE])
    assert all(str(CLAIMS[name]) in result.found for name in ("tid", "appid", "oid"))
    assert result.found.startswith("an app")


async def test_a_person_is_told_from_an_app() -> None:
    """Whoever runs it with a sign-in of their own sees that what follows is about them."""
    assert (await who(MadeUpTokens(jwt(scp="User.Read", roles=None)))).found.startswith("a person")


async def test_another_tenant() -> None:
    """A token of another tenant is wrong, and both tenants are named."""
    result = await who(MadeUpTokens(jwt(tid=ELSEWHERE)))
    assert result.mark is Mark.WRONG
    assert ELSEWHERE in result.found
    assert TENANT in result.found
    assert "TENANT_ID" in result.remedy


@pytest.mark.parametrize("scope", [GRAPH, STORAGE])
async def test_no_token(scope: str) -> None:
    """Without a token for either, the line says for which, and how to get at the app's identity."""
    result = await who(MadeUpTokens(none_for=scope))
    assert (result.mark, scope in result.found, "--in-app" in result.remedy) == (Mark.WRONG, True, True)


@pytest.mark.parametrize("text", ["opaque", "a.b", "a.b.c", f"x.{base64.b64encode(b'[1]').decode()}.x", "..", "é.é.é"])
async def test_a_token_that_tells_nothing(text: str) -> None:
    """What is no JWT proves nothing, and is not shown."""
    result = await who(MadeUpTokens(text))
    assert (result.mark, result.found) == (Mark.UNCLEAR, f"the token for {GRAPH} tells no claims")


def test_only_tokens_that_are_needed_are_asked_for() -> None:
    """A stand-in for Graph needs none, a connection string needs none for storage."""
    by_key = {name: value for name, value in IN_AZURE.items() if not name.startswith("SubmissionsStorage")}
    local = {"SubmissionsStorage": "UseDevelopmentStorage=true", "GRAPH_BASE_URL": "http://127.0.0.1:8089"}
    assert scopes(Settings.load(IN_AZURE)) == (GRAPH, STORAGE)
    assert scopes(settings(GRAPH_BASE_URL="http://127.0.0.1:8089")) == (STORAGE,)
    assert scopes(Settings.load(by_key | {"SubmissionsStorage": local["SubmissionsStorage"]})) == (GRAPH,)
    assert scopes(Settings.load(by_key | local)) == ()


def test_claims_of_odd_types() -> None:
    """A token with claims of other types is read as far as it goes."""
    caller = read_caller(jwt(roles="Mail.Read", tid=TENANT.upper(), appid=None, azp="client"))
    assert (caller.roles, caller.tenant_id, caller.app_id) == (frozenset(), TENANT, "client")


# --- Roles ----------------------------------------------------------------------------------------------------------


async def test_exactly_the_roles_that_are_needed() -> None:
    """The settings decide which; then the line is right."""
    submit, alerts, hunt = "ThreatSubmission.ReadWrite.All", "SecurityAlert.Read.All", "ThreatHunting.Read.All"
    assert (await roles(submit)).mark is Mark.OK
    assert (await roles(submit, alerts, DEFENDER_ALERTS="on")).mark is Mark.OK
    assert (await roles(submit, hunt, HUNTING_QUERY="EmailEvents")).mark is Mark.OK


@pytest.mark.parametrize("switched", [{}, {"DEFENDER_ALERTS": "on"}, {"HUNTING_QUERY": "EmailEvents"}])
def test_the_roles_are_those_that_the_deployment_grants(switched: dict[str, str]) -> None:
    """What the doctor wants in the token is what `infra/graph-permissions.json` grants under the same settings."""
    listed = json.loads((ROOT / "infra" / "graph-permissions.json").read_text())
    granted = {one["name"] for one in listed if one["when"] == "always" or one["when"] in switched}
    assert set(needed_roles(settings(**switched))) == granted


async def test_a_role_is_missing() -> None:
    """It is named, and the lines that need it wait; those that need another do not."""
    result = await roles("SecurityAlert.Read.All", DEFENDER_ALERTS="on")
    assert (result.mark, result.holds_up) == (Mark.WRONG, frozenset({"threat_submissions"}))
    assert "ThreatSubmission.ReadWrite.All" in result.found
    result = await roles("ThreatSubmission.ReadWrite.All", HUNTING_QUERY="EmailEvents")
    assert (result.mark, result.holds_up) == (Mark.WRONG, frozenset({"hunting"}))


@pytest.mark.parametrize("role", ["Mail.Read", "Mail.ReadWrite", "Mail.ReadBasic.All", "MailboxFolder.Read.All"])
async def test_a_role_that_opens_every_mailbox(role: str) -> None:
    """It is wrong, and the control mailbox waits: it would be readable for this very reason."""
    result = await roles("ThreatSubmission.ReadWrite.All", role)
    assert (result.mark, result.holds_up) == (Mark.WRONG, frozenset({"control_mailbox"}))
    assert role in result.found
    assert "every mailbox" in result.remedy


async def test_a_role_too_many() -> None:
    """Also one that opens no mailbox is told, and nothing waits for it."""
    result = await roles("ThreatSubmission.ReadWrite.All", "Directory.Read.All")
    assert (result.mark, result.holds_up, "Directory.Read.All" in result.found) == (Mark.WRONG, frozenset(), True)


async def test_a_person_has_no_roles() -> None:
    """Somebody's own sign-in says nothing of the app's roles."""
    result = await roles_in_token(MadeUpTokens(jwt(scp="x", roles=None)), settings())
    assert (result.mark, "--in-app" in result.remedy) == (Mark.WRONG, True)
