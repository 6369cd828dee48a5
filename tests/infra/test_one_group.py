"""One Entra group may play several parts: the grants are then predicted by the compiler, where one is installed."""

import json
import shutil
from pathlib import Path

import pytest

from local.bicep_compiler import BicepCompiler
from local.bicep_snapshot import snapshot_of, write_snapshot
from local.setup import ROOT

ONE_GROUP = "22222222-2222-4222-8222-222222222222"
PARAMETERS = f"""using 'modules/access.bicep'
param appPrincipalId = '11111111-1111-4111-8111-111111111111'
param hostStorageName = 'hostaccount'
param dataStorageName = 'dataaccount'
param applicationInsightsName = 'insights'
param answersReporters = true
param operatorsGroupId = '{ONE_GROUP}'
param pipelinesGroupId = '{ONE_GROUP}'
param administratorsGroupId = '{ONE_GROUP}'
"""


def test_no_grant_is_made_twice(tmp_path: Path) -> None:
    """Azure refuses a second assignment of one role to one principal at one scope, so none is asked for."""
    compiler = BicepCompiler.find()
    if compiler is None:
        pytest.skip("no Bicep compiler is installed here")
    shutil.copytree(ROOT / "infra", tmp_path / "infra")
    shutil.copy(ROOT / "bicepconfig.json", tmp_path)
    parameters = tmp_path / "infra" / "one-group.bicepparam"
    parameters.write_text(PARAMETERS)
    write_snapshot(compiler, parameters)
    made = [
        (one["properties"]["principalId"], one["properties"]["roleDefinitionId"], one["id"].rpartition("/")[0])
        for one in json.loads(snapshot_of(parameters).read_text())["predictedResources"]
        if one["type"] == "Microsoft.Authorization/roleAssignments"
    ]
    of_the_group = [one for one in made if one[0] == ONE_GROUP]
    assert len(set(made)) == len(made)
    assert len(of_the_group) == 10
