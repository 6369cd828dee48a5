"""The predicted deployments, and the template as the real compiler reads it."""

import json
from typing import Any

import pytest

from local.bicep_compiler import BicepCompiler
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
