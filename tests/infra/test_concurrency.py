"""How many requests at once the app may send for one mailbox, multiplied out of the deployment and host.json."""

import json
from collections.abc import Mapping

from local.setup import ROOT
from shared.domain.pace import CONCURRENT_READS
from tests.infra.predicted import SITE, Prediction

MAILBOX_CONCURRENCY = 4
"""Requests at once that Graph's Outlook service answers for one app and mailbox; the fifth is refused with 429
(Microsoft Learn, "Microsoft Graph service-specific throttling limits", Outlook service limits)."""

_OVERRIDE = "AzureFunctionsJobHost__extensions__queues__"


def messages_at_once(prediction: Prediction) -> int:
    """Return how many messages each queue function of a deployment works on at once, over all its instances.

    That is instances x (batchSize + newBatchThreshold): an instance takes the next batch while as many messages as the
    threshold still run (WebJobs SDK, QueuesOptions). App settings go before host.json. Each function has instances of
    its own on Flex Consumption, so this holds for each, not for the app; a message sends one request after another.
    """
    scale = prediction.only(SITE).properties["functionAppConfig"]["scaleAndConcurrency"]
    instances = scale["maximumInstanceCount"]
    assert isinstance(instances, int)
    return instances * _messages_of_an_instance(prediction.app_settings())


def _messages_of_an_instance(settings: Mapping[str, str]) -> int:
    host = json.loads((ROOT / "host.json").read_text())
    assert "concurrency" not in host, "with dynamic concurrency the host ignores the numbers below"
    queues = host["extensions"]["queues"]
    return sum(int(settings.get(_OVERRIDE + name, queues[name])) for name in ("batchSize", "newBatchThreshold"))


def test_queue_functions_stay_within_what_graph_answers(prediction: Prediction) -> None:
    """No queue function can send more requests at once than Graph answers for one mailbox."""
    assert messages_at_once(prediction) <= MAILBOX_CONCURRENCY


def test_an_app_setting_goes_before_host_json() -> None:
    """A deployment that raises a number by an app setting is multiplied with that number."""
    plain = _messages_of_an_instance({})
    assert _messages_of_an_instance({f"{_OVERRIDE}batchSize": "32"}) > plain
    assert _messages_of_an_instance({f"{_OVERRIDE}newBatchThreshold": "9"}) > plain


def test_collecting_stays_within_what_graph_answers() -> None:
    """The timer that reads a mailbox runs once at a time, and reads no more at once than Graph answers."""
    assert CONCURRENT_READS <= MAILBOX_CONCURRENCY
