"""What the tests of the deployed app share."""

from collections.abc import Iterator

import pytest

from tests.support.azure_addresses import DeployedStorage, deployed_storage


@pytest.fixture(scope="session", name="deployed_storage")
def _deployed_storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeployedStorage]:
    """Run one Azurite that takes tokens for all tests of this process, started by the first that asks for it."""
    with deployed_storage(tmp_path_factory.mktemp("azure")) as running:
        yield running
