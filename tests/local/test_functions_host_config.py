"""Reading `host.json` and the app settings over it."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from local.functions_host import HostConfigError, QueueOptions, load_host_config, read_host_config


def queues(**options: Any) -> dict[str, Any]:
    """A host.json with these options of the queue extension."""
    return {"version": "2.0", "extensions": {"queues": options}}


def test_defaults_are_the_extension_s() -> None:
    """An empty `host.json` means the platform's defaults; the threshold depends on the machine's processors."""
    config = read_host_config({}, {})
    assert config.queues == QueueOptions(new_batch_threshold=config.queues.new_batch_threshold)
    assert config.queues.new_batch_threshold % 8 == 0
    assert config.function_timeout == timedelta(minutes=30)


def test_values_are_read_with_their_units() -> None:
    """Counts are whole numbers, spans are hh:mm:ss with optional days and fractions."""
    config = read_host_config(
        queues(
            batchSize=8,
            newBatchThreshold=4,
            maxDequeueCount=3,
            visibilityTimeout="1.02:03:04",
            maxPollingInterval="00:00:00.5",
            messageEncoding="None",
        )
        | {"functionTimeout": "-1"},
        {},
    )
    assert config.queues == QueueOptions(
        8, 4, 3, timedelta(days=1, hours=2, minutes=3, seconds=4), timedelta(seconds=0.5), "none"
    )
    assert config.function_timeout is None


def test_settings_override_whatever_their_case() -> None:
    """`AzureFunctionsJobHost__` with the path in double underscores wins over the file, in any case."""
    settings = {
        "AzureFunctionsJobHost__extensions__queues__batchSize": "2",
        "azurefunctionsjobhost__EXTENSIONS__queues__visibilitytimeout": "00:01:00",
        "AzureFunctionsJobHost__functionTimeout": "00:02:00",
    }
    config = read_host_config(queues(batchSize=8), settings)
    assert (config.queues.batch_size, config.queues.visibility_timeout) == (2, timedelta(minutes=1))
    assert config.function_timeout == timedelta(minutes=2)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("batchSize", 0),
        ("batchSize", 33),
        ("batchSize", "many"),
        ("batchSize", []),
        ("newBatchThreshold", -1),
        ("maxDequeueCount", 0),
        ("visibilityTimeout", "-00:00:01"),
        ("visibilityTimeout", 30),
        ("maxPollingInterval", "00:00:00.05"),
        ("messageEncoding", "utf8"),
    ],
)
def test_out_of_bounds_is_refused_by_name(option: str, value: object) -> None:
    """A value out of the platform's bounds is refused with its full name."""
    with pytest.raises(HostConfigError, match=f"extensions.queues.{option}"):
        read_host_config(queues(**{option: value}), {})


def test_unreadable_file_is_refused(tmp_path: Path) -> None:
    """A `host.json` that is missing or not JSON is refused by its name."""
    with pytest.raises(HostConfigError, match=r"host\.json"):
        load_host_config(tmp_path / "host.json", {})
    (tmp_path / "host.json").write_text("{", encoding="utf-8")
    with pytest.raises(HostConfigError, match=r"host\.json"):
        load_host_config(tmp_path / "host.json", {})
