"""The predicted deployments, the template as the real compiler reads it, and a stand-in for Azure."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from local.bicep_compiler import BicepCompiler
from tests.infra.azure_stand_in import AzureStandIn, AzureState, azure_stand_in
from tests.infra.predicted import EXAMPLES, INFRA, Prediction, read_prediction


@pytest.fixture(params=EXAMPLES)
def prediction(request: pytest.FixtureRequest) -> Prediction:
    """Return what each example deployment would make, one after the other."""
    return read_prediction(request.param)


@pytest.fixture
def trial() -> Prediction:
    """Return what the trial would make."""
    return read_prediction("trial")


@pytest.fixture
def production() -> Prediction:
    """Return what production would make."""
    return read_prediction("production")


@pytest.fixture(scope="session")
def template() -> dict[str, Any]:
    """Return main.bicep as ARM reads it; skip where no compiler is installed."""
    compiler = BicepCompiler.find()
    if compiler is None:
        pytest.skip("no Bicep compiler is installed")
    built = compiler.run("build", INFRA / "main.bicep", "--stdout")
    found = json.loads(built.stdout)
    assert isinstance(found, dict)
    return found


@pytest.fixture(scope="session")
def azure_running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureStandIn]:
    """Run one stand-in for Azure."""
    with azure_stand_in(tmp_path_factory.mktemp("azure")) as running:
        yield running


@pytest.fixture
def azure(azure_running: AzureStandIn) -> AzureStandIn:
    """Return the stand-in for Azure, which knows nothing of what was done before."""
    vars(azure_running.state).update(vars(AzureState()))
    return azure_running
