"""The deployed app's settings: all that the parser reads and the platform needs, with values the parser accepts."""

import pytest

from shared.settings import DATA_STORAGE, HOST_STORAGE, Settings, setting_names
from tests.infra.predicted import CLIENT_ID, Prediction

PLATFORM = {
    f"{HOST_STORAGE}__blobServiceUri": "leases, timer times, keys",
    f"{HOST_STORAGE}__queueServiceUri": "named with the others, though no trigger of ours uses it",
    f"{HOST_STORAGE}__tableServiceUri": "diagnostic events",
    f"{HOST_STORAGE}__credential": "an identity, no key",
    f"{HOST_STORAGE}__clientId": "which identity",
    "AZURE_CLIENT_ID": "which identity, for libraries that look for one by themselves",
    "APPLICATIONINSIGHTS_CONNECTION_STRING": "where telemetry goes",
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": "as which identity",
}
"""What the platform reads, each with its reason."""
TELEMETRY_OF_THE_WORKER = {
    "PYTHON_ENABLE_OPENTELEMETRY": "the worker fails every invocation (azure-functions-python-worker, issue 1881)",
    "PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY": "spans of Graph requests, whose URLs hold addresses",
}
"""What must be absent, each with what it does."""
NOT_ON_FLEX = {
    "ENABLE_ORYX_BUILD",
    "FUNCTIONS_EXTENSION_VERSION",
    "FUNCTIONS_WORKER_RUNTIME",
    "SCM_DO_BUILD_DURING_DEPLOYMENT",
    "TZ",
    "WEBSITE_CONTENTAZUREFILECONNECTIONSTRING",
    "WEBSITE_CONTENTSHARE",
    "WEBSITE_MAX_DYNAMIC_APPLICATION_SCALE_OUT",
    "WEBSITE_RUN_FROM_PACKAGE",
    "WEBSITE_TIME_ZONE",
}
"""What Flex Consumption has other places for (Microsoft Learn, "Flex Consumption plan deprecations")."""


def test_settings_are_the_parsers_and_the_platforms(prediction: Prediction) -> None:
    """Every setting of the parser and no other, but for the connection strings, which only local work has."""
    parsed = set(setting_names()) - {HOST_STORAGE, DATA_STORAGE}
    assert set(prediction.app_settings()) == parsed | set(PLATFORM)


def test_no_setting_stands_where_flex_consumption_has_another_place(prediction: Prediction) -> None:
    """Settings that other plans need make a deployment of Flex Consumption fail."""
    assert NOT_ON_FLEX.isdisjoint(prediction.app_settings())


@pytest.mark.parametrize(("switch", "does"), TELEMETRY_OF_THE_WORKER.items())
def test_the_worker_sends_no_telemetry(prediction: Prediction, switch: str, does: str) -> None:
    """Lines go through the host; each switch of the worker does harm."""
    assert switch not in prediction.app_settings(), f"{switch}: {does}"


def test_the_parser_accepts_the_very_values(prediction: Prediction) -> None:
    """The app starts with what is deployed, and reaches its data as its identity."""
    settings = Settings.load(prediction.app_settings())
    account = prediction.data_account()
    storage = settings.submissions_storage
    assert storage.queue_service_uri == f"https://{account}.queue.core.windows.net"
    assert storage.table_service_uri == f"https://{account}.table.core.windows.net"
    assert storage.blob_service_uri == f"https://{account}.blob.core.windows.net"
    assert (storage.credential, storage.client_id) == ("managedidentity", CLIENT_ID)


def test_the_host_keeps_to_its_own_account(prediction: Prediction) -> None:
    """The host's storage and the data are two accounts, so that nobody needs a right on both."""
    settings = prediction.app_settings()
    for service in ("blob", "queue", "table"):
        host, data = (settings[f"{prefix}__{service}ServiceUri"] for prefix in (HOST_STORAGE, DATA_STORAGE))
        assert host.endswith(f".{service}.core.windows.net")
        assert host != data


def test_everything_the_app_reaches_it_reaches_as_one_identity(prediction: Prediction) -> None:
    """Each setting that names an identity names the same one."""
    settings = prediction.app_settings()
    named = {value for name, value in settings.items() if name.endswith(("__clientId", "CLIENT_ID"))}
    assert named == {CLIENT_ID}
    assert settings["APPLICATIONINSIGHTS_AUTHENTICATION_STRING"] == f"ClientId={CLIENT_ID};Authorization=AAD"


@pytest.mark.parametrize(("example", "mode"), [("trial", "shadow"), ("production", "live")])
def test_only_production_submits(request: pytest.FixtureRequest, example: str, mode: str) -> None:
    """Whoever tries the app submits nothing before they say so."""
    prediction: Prediction = request.getfixturevalue(example)
    assert Settings.load(prediction.app_settings()).submission_mode == mode
