"""The template's parameters: all explained, and with the very limits and defaults of the app's settings parser."""

import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from local.bicep_compiler import BicepCompiler
from local.bicep_snapshot import SnapshotError, write_snapshot
from shared.settings import DATA_STORAGE, GRAPH_HOSTS, Settings, SettingsError
from tests.infra.predicted import INFRA, SITE, Prediction, read_prediction
from tests.infra.test_deployment import LONGEST_PREFIX
from tests.support.platform_reads import SETTINGS
from tests.support.worker_site import ANSWERS, QUEUES, TIMERS

Parameter = Mapping[str, Any]


def setting_of(parameter: str) -> str:
    """Return the setting that a parameter is for, if it is for one: quotaPer15Min is QUOTA_PER_15_MIN."""
    return re.sub(r"(?<=[a-z])(?=[A-Z0-9])|(?<=[0-9])(?=[A-Z])", "_", parameter).upper()


@pytest.fixture
def deployed() -> dict[str, str]:
    """Return right settings, to change one at a time; no reserve is in the way of another number."""
    settings = read_prediction("production").app_settings()
    return settings | {"QUOTA_RESERVED_FOR_PEOPLE": "0", "QUOTA_RESERVED_FOR_URGENT": "0"}


@pytest.fixture
def parameters(template: dict[str, Any], deployed: dict[str, str]) -> dict[str, Parameter]:
    """Return the parameters that are for a setting of the app, by the setting's name."""
    named = {setting_of(name): told for name, told in template["parameters"].items()}
    return {name: told for name, told in named.items() if name in deployed}


def accepts(settings: Mapping[str, str], name: str, value: object) -> bool:
    """Tell whether the parser takes a value for a setting."""
    try:
        Settings.load({**settings, name: str(value)})
    except SettingsError as error:
        return not any(problem.startswith(name) for problem in error.problems)
    return True


def test_every_parameter_and_output_is_explained(template: dict[str, Any]) -> None:
    """The portal and a reader are told what each is for."""
    for name, told in (*template["parameters"].items(), *template["outputs"].items()):
        assert told.get("metadata", {}).get("description", ""), name


def test_every_setting_of_our_own_has_a_parameter(parameters: dict[str, Parameter], deployed: dict[str, str]) -> None:
    """No setting of the contract can only be changed by editing a module."""
    storage = {name for name in deployed if name.startswith(f"{DATA_STORAGE}__")}
    assert set(parameters) == set(deployed) - set(SETTINGS) - storage


def test_limits_are_the_parsers(parameters: dict[str, Parameter], deployed: dict[str, str]) -> None:
    """Whatever number the template takes the app takes, and neither takes more: no deployment ends in a stopped app."""
    numbers = {name: told for name, told in parameters.items() if told["type"] == "int"}
    assert len(numbers) == 11
    for name, told in numbers.items():
        least, most = told["minValue"], told["maxValue"]
        assert [accepts(deployed, name, value) for value in (least, most)] == [True, True], name
        assert [accepts(deployed, name, value) for value in (least - 1, most + 1)] == [False, False], name


def test_words_are_the_parsers(parameters: dict[str, Parameter], deployed: dict[str, str]) -> None:
    """Each word that the template offers is one the app knows, and the app knows no other."""
    offered = {name: told["allowedValues"] for name, told in parameters.items() if "allowedValues" in told}
    assert offered.pop("GRAPH_BASE_URL") == [f"https://{host}" for host in GRAPH_HOSTS]
    assert len(offered) == 7
    for name, words in offered.items():
        assert all(accepts(deployed, name, word) for word in words), name
        with pytest.raises(SettingsError) as caught:
            Settings.load(deployed | {name: "no such word"})
        assert caught.value.problems == (f"{name} must be {' or '.join(words)}",)


def test_defaults_are_the_parsers(parameters: dict[str, Parameter], deployed: dict[str, str]) -> None:
    """A parameter that is left out means what the setting means when it is left out."""
    own = {name for name, told in parameters.items() if not name.endswith("_SCHEDULE")}
    computed = {"TENANT_ID", "REPORTING_MAILBOXES", "TENANT_DOMAINS", "SIMULATION_MARKS"}
    defaults = {name: str(parameters[name].get("defaultValue", "")) for name in own - computed}
    left_out = {name: value for name, value in deployed.items() if name not in own - computed}
    assert Settings.load(left_out | defaults) == Settings.load(left_out)


def test_default_schedules_are_accepted(parameters: dict[str, Parameter], deployed: dict[str, str]) -> None:
    """The parser has no default schedule; the template's are right."""
    schedules = {name: told["defaultValue"] for name, told in parameters.items() if name.endswith("_SCHEDULE")}
    assert len(schedules) == 3
    assert all(accepts(deployed, name, schedule) for name, schedule in schedules.items())


def test_the_longest_prefix_is_the_one_names_are_made_for(template: dict[str, Any]) -> None:
    """What test_names_fit_with_the_longest_prefix counts on."""
    assert template["parameters"]["namePrefix"]["maxLength"] == LONGEST_PREFIX


def test_only_the_marks_of_simulations_may_be_a_secret(template: dict[str, Any]) -> None:
    """They are kept out of logs and histories of deployments, and no other parameter asks for a secret."""
    secure = {name: told for name, told in template["parameters"].items() if told["type"].startswith("secure")}
    assert set(secure) == {"simulationMarks"}


def test_no_deployment_empties_the_marks_by_leaving_them_out(template: dict[str, Any]) -> None:
    """A deployment writes all settings anew: whoever upgrades without naming the marks is stopped, not obeyed."""
    assert "defaultValue" not in template["parameters"]["simulationMarks"]


@pytest.mark.parametrize(
    ("given", "setting"), [("none", ""), (" none ", ""), ("@exercise.contoso.com", "@exercise.contoso.com")]
)
def test_marks_are_deployed_as_they_were_given(trial_copy: Path, given: str, setting: str) -> None:
    """`none` is how to say that there are none."""
    assert predict_marks(trial_copy, given) == setting


@pytest.mark.parametrize("given", ["", " "])
def test_empty_marks_stop_the_deployment(trial_copy: Path, given: str) -> None:
    """An unset variable arrives as an empty text, and would empty what the app has."""
    with pytest.raises(SnapshotError, match="simulationMarks is empty"):
        predict_marks(trial_copy, given)


def test_a_pause_outlives_deployments(trial_copy: Path, template: dict[str, Any]) -> None:
    """Functions that the parameters name are switched off by the setting that the host obeys; any of ours can be."""
    functions = template["parameters"]["pausedFunctions"]["allowedValues"]
    assert set(functions) == {*TIMERS, *QUEUES, *ANSWERS}
    trial_copy.write_text(f"{trial_copy.read_text()}param pausedFunctions = ['submit', 'dispatch']\n")
    settings = predict_settings(trial_copy)
    paused = {name: value for name, value in settings.items() if name.startswith("AzureWebJobs.")}
    assert paused == {"AzureWebJobs.submit.Disabled": "true", "AzureWebJobs.dispatch.Disabled": "true"}


def predict_marks(parameters: Path, given: str) -> str:
    """Return what a deployment of these parameters with these marks would set SIMULATION_MARKS to."""
    parameters.write_text(parameters.read_text().replace("simulationMarks = 'none'", f"simulationMarks = '{given}'"))
    return predict_settings(parameters)["SIMULATION_MARKS"]


def predict_settings(parameters: Path) -> dict[str, str]:
    """Return the app settings that a deployment of these parameters would make."""
    compiler = BicepCompiler.find()
    assert compiler is not None
    told = json.loads(write_snapshot(compiler, parameters).read_text())["predictedResources"]
    (settings,) = (one["properties"]["siteConfig"]["appSettings"] for one in told if one["type"] == SITE)
    return {one["name"]: one["value"] for one in settings}


@pytest.fixture
def trial_copy(tmp_path: Path) -> Path:
    """Return the trial's parameters beside templates that do not keep the marks secret, so that they are predicted."""
    if BicepCompiler.find() is None:
        pytest.skip("no Bicep compiler is installed")
    shutil.copytree(INFRA, tmp_path / "infra")
    for file in (tmp_path / "infra" / "main.bicep", tmp_path / "infra" / "modules" / "app.bicep"):
        text = file.read_text()
        assert text.count("@secure()\n") == 1
        file.write_text(text.replace("@secure()\n", ""))
    return tmp_path / "infra" / "trial.bicepparam"


def test_the_outputs_are_the_predicted_ones(template: dict[str, Any], prediction: Prediction) -> None:
    """The compiler compares resources only when it validates a snapshot, so the outputs are compared here."""
    assert set(template["outputs"]) == set(prediction.outputs)


def test_the_app_waits_for_its_grants(template: dict[str, Any]) -> None:
    """An app that starts before its grants fails until they reach it, which takes minutes."""
    assert {"access", "network"} <= set(template["resources"]["app"]["dependsOn"])


def test_reserves_that_leave_nothing_stop_the_deployment(tmp_path: Path) -> None:
    """The app would refuse to start: it is said before anything is deployed."""
    compiler = BicepCompiler.find()
    if compiler is None:
        pytest.skip("no Bicep compiler is installed")
    main = os.path.relpath(INFRA / "main.bicep", tmp_path)
    trial = (INFRA / "trial.bicepparam").read_text().replace("'main.bicep'", f"'{main}'")
    file = tmp_path / "wrong.bicepparam"
    file.write_text(trial.replace("quotaReservedForUrgent = 5", "quotaReservedForUrgent = 15"))
    with pytest.raises(SnapshotError, match="together must be less than quotaPer15Min"):
        write_snapshot(compiler, file)
