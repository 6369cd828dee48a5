"""The predicted deployments: storage that holds what the code names, hardened; an app without keys; names that fit."""

import re
from collections.abc import Callable

import pytest

from shared.bootstrap import CONTAINERS, TABLES, container_names, queue_names
from shared.settings import Settings
from tests.infra.predicted import MARKS, SITE, STORAGE, Prediction, stand_in

LONGEST_PREFIX = 12
"""The limit of namePrefix; tests/infra/test_template.py holds it."""
LONGEST_NAMES = {
    "Microsoft.Insights/actionGroups": 260,
    "Microsoft.Insights/components": 260,
    "Microsoft.Insights/scheduledQueryRules": 260,
    "Microsoft.ManagedIdentity/userAssignedIdentities": 128,
    "Microsoft.Network/privateEndpoints": 64,
    "Microsoft.Network/virtualNetworks": 64,
    "Microsoft.OperationalInsights/workspaces": 63,
    "Microsoft.Storage/storageAccounts": 24,
    "Microsoft.Web/serverfarms": 60,
    # 60 for Azure; but the host makes its id of the first 32, and two apps of one id stop each other's timers.
    "Microsoft.Web/sites": 32,
}
"""Microsoft Learn, "Naming rules and restrictions for Azure resources"."""
REFUSED_ON_FLEX = {
    "alwaysOn",
    "ftpsState",
    "functionAppScaleLimit",
    "functionsRuntimeScaleMonitoringEnabled",
    "linuxFxVersion",
    "netFrameworkVersion",
    "powerShellVersion",
    "preWarmedInstanceCount",
    "use32BitWorkerProcess",
    "windowsFxVersion",
}
"""By refusals that name them (Azure/terraform-azurerm-avm-res-web-site, pull request 345 and issue 360) and by
Microsoft Learn, "Flex Consumption plan deprecations"."""
PREVIEWS = {"Microsoft.Insights/diagnosticSettings": "no version without `preview` since 2016"}
SECRETS = re.compile(
    r"AccountKey=|SharedAccessKey|SharedAccessSignature|[?&]sig=|-----BEGIN|listKeys|InstrumentationKey=[0-9a-f]"
    r"|(?i:password|secret)[\"']?\s*[:=]|[A-Za-z0-9+/]{60,}={1,2}"
)


def test_both_accounts_are_hardened(prediction: Prediction) -> None:
    """No shared key, no public blob, no old TLS, no plain HTTP, no copy into another tenant; Entra by default."""
    accounts = prediction.of(STORAGE)
    assert len(accounts) == 2
    for account in accounts:
        told = account.properties
        refused = ("allowSharedKeyAccess", "allowBlobPublicAccess", "allowCrossTenantReplication")
        assert [told[name] for name in refused] == [False, False, False]
        assert told["minimumTlsVersion"] == "TLS1_2"
        assert told["supportsHttpsTrafficOnly"] is True
        assert told["defaultToOAuthAuthentication"] is True


@pytest.mark.parametrize(
    ("part", "names"),
    [
        ("queueServices/queues", queue_names),
        ("tableServices/tables", lambda _: TABLES),
        ("blobServices/containers", container_names),
    ],
)
def test_the_data_account_holds_what_the_code_names(
    prediction: Prediction, part: str, names: Callable[[Settings], tuple[str, ...]]
) -> None:
    """Every queue, table and container that the settings call for and no other: the app has no right to make one."""
    found = [one.name for one in prediction.of(f"{STORAGE}/{part}", prediction.data_account())]
    assert sorted(found) == sorted(names(Settings.load(prediction.app_settings())))


def test_every_work_queue_has_its_poison_queue(prediction: Prediction) -> None:
    """Without one, a message that always fails circles until it expires (WebJobs SDK, QueueListenerFactory)."""
    names = {queue.name for queue in prediction.of(f"{STORAGE}/queueServices/queues")}
    work = {name for name in names if not name.endswith("-poison")}
    assert names == work | {f"{name}-poison" for name in work}
    assert all(len(name) <= 56 for name in work)


def test_the_host_account_holds_the_package_and_nothing_else(prediction: Prediction) -> None:
    """The app is deployed to a container of the host's account, which holds no data."""
    (account,) = {one.name for one in prediction.of(STORAGE)} - {prediction.data_account()}
    (container,) = prediction.of(f"{STORAGE}/blobServices/containers", account)
    deployed = prediction.only(SITE).properties["functionAppConfig"]["deployment"]["storage"]["value"]
    assert stand_in(deployed) == f"https://{account}.blob.core.windows.net/{container.name}"
    assert not prediction.of(f"{STORAGE}/tableServices/tables", account)


def test_no_container_is_public(prediction: Prediction) -> None:
    """Every container asks for an identity, whatever the account allows."""
    containers = prediction.of(f"{STORAGE}/blobServices/containers")
    assert {container.properties["publicAccess"] for container in containers} == {"None"}


def test_deleted_mail_is_gone(prediction: Prediction) -> None:
    """No soft delete, no versions, no change feed: nothing outlives a blob that was deleted."""
    (blobs,) = prediction.of(f"{STORAGE}/blobServices", prediction.data_account())
    told = blobs.properties
    kept = ("deleteRetentionPolicy", "containerDeleteRetentionPolicy", "changeFeed")
    assert [told[name]["enabled"] for name in kept] == [False, False, False]
    assert told["isVersioningEnabled"] is False


def test_every_container_is_emptied_in_time(prediction: Prediction) -> None:
    """Blobs go by the age of their last change: uploads, rejected messages, and originals.

    The app renews what an open row needs once a day: counted from the creation, it would be deleted all the same.
    """
    (policy,) = prediction.of(f"{STORAGE}/managementPolicies")
    evidence_days = int(prediction.app_settings()["EVIDENCE_DAYS"])
    days = {}
    for rule in policy.properties["policy"]["rules"]:
        (prefix,) = rule["definition"]["filters"]["prefixMatch"]
        assert rule["definition"]["filters"]["blobTypes"] == ["blockBlob"]
        assert rule["enabled"] is True
        ((age, limit),) = rule["definition"]["actions"]["baseBlob"]["delete"].items()
        assert age == "daysAfterModificationGreaterThan"
        days[prefix] = limit
    assert policy.parent == prediction.data_account()
    assert days == {"submission-content/": 30, "rejected-messages/": 90, "evidence/": evidence_days}
    assert set(days) == {f"{container}/" for container in CONTAINERS}


def test_the_app_answers_over_tls_and_takes_no_password(prediction: Prediction) -> None:
    """HTTPS from TLS 1.2 on, and no publishing with a user name and a password."""
    app = prediction.only(SITE)
    assert app.properties["httpsOnly"] is True
    config = app.properties["siteConfig"]
    assert (config["minTlsVersion"], config["scmMinTlsVersion"]) == ("1.2", "1.2")
    policies = prediction.of(f"{SITE}/basicPublishingCredentialsPolicies")
    assert {policy.name: policy.properties["allow"] for policy in policies} == {"scm": False, "ftp": False}
    # The service refused a policy without one (Azure/bicep-types-az, issues 1526 and 1571), whatever its types say.
    assert {policy.body["location"] for policy in policies} == {app.body["location"]}


def test_the_app_says_nothing_that_flex_consumption_refuses(prediction: Prediction) -> None:
    """Properties of other plans fail the deployment with error 51021, whatever their value is."""
    assert REFUSED_ON_FLEX.isdisjoint(prediction.only(SITE).properties["siteConfig"])


def test_the_app_has_one_identity_and_is_deployed_as_it(prediction: Prediction) -> None:
    """The identity outlives the app, and also reads the package; there is none that belongs to the app."""
    identity = prediction.only("Microsoft.ManagedIdentity/userAssignedIdentities")
    app = prediction.only(SITE)
    assert app.body["identity"] == {"type": "UserAssigned", "userAssignedIdentities": {identity.id: {}}}
    authentication = app.properties["functionAppConfig"]["deployment"]["storage"]["authentication"]
    assert authentication == {"type": "UserAssignedIdentity", "userAssignedIdentityResourceId": identity.id}


def test_the_app_runs_on_flex_consumption_and_azd_finds_it(prediction: Prediction) -> None:
    """Plan, system and the tag by which `azd deploy` knows where the code goes."""
    plan, app = prediction.only("Microsoft.Web/serverfarms"), prediction.only(SITE)
    assert plan.body["sku"] == {"tier": "FlexConsumption", "name": "FC1"}
    assert app.properties["serverFarmId"] == plan.id
    assert app.body["kind"] == "functionapp,linux"
    assert app.body["tags"]["azd-service-name"] == "app"


def test_api_versions_are_no_previews(prediction: Prediction) -> None:
    """A preview may change or go; the one exception has no other version."""
    previews = {one.type for one in prediction.resources if "preview" in one.api_version}
    assert previews <= set(PREVIEWS)


@pytest.mark.parametrize(("example", "prefix"), [("trial", "reporttrial"), ("production", "defendersub")])
def test_names_fit_with_the_longest_prefix(request: pytest.FixtureRequest, example: str, prefix: str) -> None:
    """No name that begins with namePrefix is too long for its type, however long the prefix is allowed to be."""
    prediction: Prediction = request.getfixturevalue(example)
    named = [one for one in prediction.resources if not one.parent and one.name.startswith(prefix)]
    assert {one.type for one in named} <= set(LONGEST_NAMES)
    assert len({(one.type, one.name) for one in named}) == len(named)
    for one in named:
        assert len(one.name) - len(prefix) + LONGEST_PREFIX <= LONGEST_NAMES[one.type], one.name


def test_nothing_looks_like_a_secret(prediction: Prediction) -> None:
    """Neither a key nor a password is asked for, given or told; the marks of simulations stay unread."""
    assert SECRETS.findall(prediction.text) == []
    settings = prediction.only(SITE).properties["siteConfig"]["appSettings"]
    (marks,) = (one["value"] for one in settings if one["name"] == "SIMULATION_MARKS")
    assert MARKS in marks


def test_no_address_is_of_one_cloud_only(prediction: Prediction) -> None:
    """Storage addresses come from the cloud that is deployed to."""
    assert "windows.net" not in prediction.text


def test_telemetry_is_taken_from_an_identity_only(prediction: Prediction) -> None:
    """A leaked connection string or workspace key lets nobody write."""
    insights = prediction.only("Microsoft.Insights/components")
    workspace = prediction.only("Microsoft.OperationalInsights/workspaces")
    assert insights.properties["DisableLocalAuth"] is True
    assert insights.properties["WorkspaceResourceId"] == workspace.id
    assert workspace.properties["features"]["disableLocalAuth"] is True
    assert workspace.properties["workspaceCapping"]["dailyQuotaGb"] >= 1


def test_what_later_steps_need_is_told(prediction: Prediction) -> None:
    """The code goes to the app, Exchange and Graph ask for the identity's ids, people for the addresses."""
    told = prediction.outputs
    account = prediction.data_account()
    assert told["functionAppName"] == prediction.only(SITE).name
    assert told["identityName"] == prediction.only("Microsoft.ManagedIdentity/userAssignedIdentities").name
    assert told["dataStorageName"] == account
    assert told["workspaceName"] == prediction.only("Microsoft.OperationalInsights/workspaces").name
    for service in ("queue", "table", "blob"):
        assert stand_in(told[f"{service}ServiceUri"]) == f"https://{account}.{service}.core.windows.net"
    assert told["identityClientId"].endswith(".outputs.clientId.value]")
    assert told["identityPrincipalId"].endswith(".outputs.principalId.value]")
