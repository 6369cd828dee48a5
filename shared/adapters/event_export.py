"""Events to Application Insights, straight from the worker, by Microsoft's OpenTelemetry exporter.

Only what `shared.telemetry` tells leaves through here, by its registered fields: no other logger is connected, and no
spans, metrics or instrumentations exist, because theirs would carry the URLs of Graph requests, and those hold mailbox
addresses and message ids. No event is sampled away: alerts count them. Sending happens on a thread of its own; what
cannot be sent is kept on the instance's disk and tried again.
"""

from __future__ import annotations

import logging
from collections.abc import MutableMapping

from azure.monitor.opentelemetry.exporter import AzureMonitorLogExporter
from opentelemetry._logs import Logger, LogRecord, SeverityNumber
from opentelemetry.context import get_current
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource

from shared.telemetry import CONNECTION_STRING, FIELDS, LOGGER, Event, emit

SENT_EVERY_S = 1.0
EVENTS_AT_ONCE = 512
MOST_WAITING = 16_384
"""One run of a function may settle 10,000 covered rows; none of their events may push another out of the queue."""
OWN_STATISTICS = (
    "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED",
    "APPLICATIONINSIGHTS_SDKSTATS_DISABLED",
    "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL",
)
"""Switches off what the exporter would tell or ask about itself at addresses outside the tenant (`_constants.py`)."""
_SEVERITIES = {
    logging.INFO: SeverityNumber.INFO,
    logging.WARNING: SeverityNumber.WARN,
    logging.ERROR: SeverityNumber.ERROR,
}


class EventHandler(logging.Handler):
    """Hands each event on: its line as the body, its fields as attributes, the invocation's trace as context."""

    def __init__(self, logger: Logger) -> None:
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        """Queue one event for sending; returns at once."""
        known = vars(record)
        self._logger.emit(
            LogRecord(
                timestamp=int(record.created * 1e9),
                context=get_current(),
                severity_number=_SEVERITIES[record.levelno],
                body=record.getMessage(),
                attributes={name: known[name] for name in ("event", *FIELDS) if name in known},
            )
        )


def export_events(environment: MutableMapping[str, str]) -> None:
    """Send every event from now on to the Application Insights component that the environment names.

    The exporter finds its identity in APPLICATIONINSIGHTS_AUTHENTICATION_STRING by itself. Calling again does nothing.
    Raises nothing: the app can work without being heard, and its silence sets off the alerts on heartbeats.
    """
    logger = logging.getLogger(LOGGER)
    if any(isinstance(handler, EventHandler) for handler in logger.handlers):
        return
    for name in OWN_STATISTICS:
        environment[name] = "true"
    try:
        provider = _provider(environment)
    except Exception as error:  # noqa: BLE001 - see above
        emit(Event.EVENTS_UNSENT, error=type(error).__name__)
        return
    logger.setLevel(logging.INFO)
    logger.addHandler(EventHandler(provider.get_logger(LOGGER)))


def _provider(environment: MutableMapping[str, str]) -> LoggerProvider:
    """What queues and sends; it sends what is left when the process ends of itself."""
    name = environment.get("WEBSITE_SITE_NAME", "defender-submissions")
    provider = LoggerProvider(Resource({"service.name": name}))
    exporter = AzureMonitorLogExporter(connection_string=environment[CONNECTION_STRING])
    provider.add_log_record_processor(
        BatchLogRecordProcessor(
            exporter,
            schedule_delay_millis=SENT_EVERY_S * 1000,
            max_export_batch_size=EVENTS_AT_ONCE,
            max_queue_size=MOST_WAITING,
        )
    )
    return provider
