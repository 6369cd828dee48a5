"""What production has and the trial has not: a network of its own, an audit of the data, and mails to people."""

from tests.infra.predicted import SITE, STORAGE, Prediction

ENDPOINT = "Microsoft.Network/privateEndpoints"
ZONE = "Microsoft.Network/privateDnsZones"
DIAGNOSTICS = "Microsoft.Insights/diagnosticSettings"


def services(prediction: Prediction) -> set[tuple[str, str]]:
    """Return the services that have a private endpoint, each with its account."""
    found = set()
    for endpoint in prediction.of(ENDPOINT):
        (connection,) = endpoint.properties["privateLinkServiceConnections"]
        (service,) = connection["properties"]["groupIds"]
        found.add((connection["properties"]["privateLinkServiceId"].rpartition("/")[2], service))
    return found


def test_production_closes_storage_to_the_internet(production: Prediction) -> None:
    """Both accounts refuse whoever does not come through the network; Azure's own lifecycle rules may delete mail."""
    for account in production.of(STORAGE):
        assert account.properties["publicNetworkAccess"] == "Disabled"
        bypass = "AzureServices" if account.name == production.data_account() else "None"
        assert account.properties["networkAcls"] == {"defaultAction": "Deny", "bypass": bypass}


def test_every_service_that_is_used_has_an_endpoint(production: Prediction) -> None:
    """The three services of the data account, and what the host uses of its own: blobs and tables."""
    data = production.data_account()
    (host,) = {account.name for account in production.of(STORAGE)} - {data}
    assert services(production) == {(data, "blob"), (data, "queue"), (data, "table"), (host, "blob"), (host, "table")}


def test_every_endpoint_is_found_by_its_name(production: Prediction) -> None:
    """Each endpoint has a record in the zone of its service, and each zone is linked to the network."""
    zones = {zone.id for zone in production.of(ZONE)}
    network = production.only("Microsoft.Network/virtualNetworks")
    links = production.of(f"{ZONE}/virtualNetworkLinks")
    assert [link.properties["virtualNetwork"]["id"] for link in links] == [network.id] * len(zones)
    groups = production.of(f"{ENDPOINT}/privateDnsZoneGroups")
    assert len(groups) == len(production.of(ENDPOINT))
    for group in groups:
        (config,) = group.properties["privateDnsZoneConfigs"]
        assert config["properties"]["privateDnsZoneId"] in zones
        assert group.parent.endswith(f"-{config['name']}")


def test_the_app_goes_through_its_subnet(production: Prediction) -> None:
    """The app's subnet is delegated to Flex Consumption, and no endpoint stands in it."""
    network = production.only("Microsoft.Network/virtualNetworks")
    app, endpoints = network.properties["subnets"]
    assert production.only(SITE).properties["virtualNetworkSubnetId"] == f"{network.id}/subnets/{app['name']}"
    (delegation,) = app["properties"]["delegations"]
    assert delegation["properties"]["serviceName"] == "Microsoft.App/environments"
    used = {endpoint.properties["subnet"]["id"] for endpoint in production.of(ENDPOINT)}
    assert used == {f"{network.id}/subnets/{endpoints['name']}"}


def test_production_audits_its_data(production: Prediction) -> None:
    """Who read, wrote and deleted what, in each of the three services of the data account."""
    workspace = production.only("Microsoft.OperationalInsights/workspaces")
    (account,) = (one for one in production.of(STORAGE) if one.name == production.data_account())
    audited = {setting.id.partition("/providers/Microsoft.Insights")[0] for setting in production.of(DIAGNOSTICS)}
    assert audited == {f"{account.id}/{service}Services/default" for service in ("queue", "table", "blob")}
    for setting in production.of(DIAGNOSTICS):
        assert setting.properties["workspaceId"] == workspace.id
        logs = {log["category"] for log in setting.properties["logs"] if log["enabled"]}
        assert logs == {"StorageRead", "StorageWrite", "StorageDelete"}


def test_production_mails_its_people(production: Prediction) -> None:
    """Every alert calls the action group, which mails each address."""
    group = production.only("Microsoft.Insights/actionGroups")
    mailed = [receiver["emailAddress"] for receiver in group.properties["emailReceivers"]]
    assert mailed == ["secops@contoso.com", "mail-security@contoso.com"]
    rules = production.of("Microsoft.Insights/scheduledQueryRules")
    assert rules
    assert all(rule.properties["actions"]["actionGroups"] == [group.id] for rule in rules)


def test_a_trial_stays_small(trial: Prediction) -> None:
    """No network, no endpoint that costs by the hour, no audit, and nobody is mailed."""
    types = {one.type for one in trial.resources}
    assert not {kind for kind in types if kind.startswith("Microsoft.Network/")}
    assert not types & {DIAGNOSTICS, "Microsoft.Insights/actionGroups"}
    assert trial.only(SITE).properties["virtualNetworkSubnetId"] is None
    assert {account.properties["publicNetworkAccess"] for account in trial.of(STORAGE)} == {"Enabled"}
