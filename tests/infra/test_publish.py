"""Publishing, as a program of its own, against stand-ins for az, Azure Resource Manager, publishing site and Graph."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local.publish.package import choose_package, read_package, unpack
from local.publish.patience import Patience
from local.publish.trouble import Trouble
from tests.infra.azure_stand_in import (
    APP,
    DEPLOYMENT,
    ELSEWHERE,
    GONE,
    GROUP,
    MANAGEMENT,
    PLACEHOLDER,
    PUBLISHING,
    SITE,
    AzureStandIn,
    AzureState,
)
from tests.infra.publishing import ALERTS, PERMISSIONS, SITE_PACKAGES, SUBMIT, functions, write_az, write_package

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Publishing:
    """A tenant with an app whose grants are made, and the program run against it."""

    azure: AzureStandIn
    account: Path
    environment: dict[str, str]
    package: Path

    @property
    def state(self) -> AzureState:
        """What the stand-in answers and saw."""
        return self.azure.state

    def change_account(self, **parts: object) -> None:
        """Change what az tells."""
        self.account.write_text(json.dumps({**json.loads(self.account.read_text()), **parts}))

    def run(self, *words: str, limit_s: float = 0.3) -> subprocess.CompletedProcess[str]:
        """Run the program on the app and the package; its exit code and what it printed come back."""
        named = ["--resource-group", GROUP, "--name", APP, "--package", str(self.package)]
        waits = ["--limit-s", str(limit_s), "--pause-s", "0.02"]
        command = [sys.executable, "-m", "local.publish", *words, *named, *waits]
        return subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False)

    def fails(self, name: str, *words: str, **options: Any) -> str:
        """Run the program, which stops with that trouble; return what it says."""
        ran = self.run(*words, **options)
        assert ran.returncode == 1, ran.stdout + ran.stderr
        assert f"STOPPED {name}: " in ran.stderr, ran.stderr
        assert "\n-> " in ran.stderr
        assert "token-for" not in ran.stdout + ran.stderr
        return ran.stderr


@pytest.fixture
def publishing(azure: AzureStandIn, tmp_path: Path) -> Publishing:
    """Return an app that lists its functions after the second reading of its triggers, and `az` on PATH."""
    azure.state.functions = [[PLACEHOLDER], functions()]
    azure.state.roles = [PERMISSIONS[SUBMIT]]
    account = write_az(tmp_path, azure)
    environment = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "SSL_CERT_FILE": str(azure.certificate)}
    return Publishing(azure, account, environment, write_package(tmp_path / "app-py313.zip"))


def test_publishing_ends_when_every_function_is_listed(publishing: Publishing) -> None:
    """The very bytes are sent, not to be built anew; the triggers are read until the placeholder has given way."""
    ran = publishing.run()
    assert ran.returncode == 0, ran.stderr
    assert publishing.state.sent == [publishing.package.read_bytes()]
    assert not publishing.state.builds_remotely
    assert publishing.state.readings == 2
    assert [line.split()[0] for line in ran.stdout.splitlines()[:6]] == [
        *("app", "package", "granted", "taken", "waiting", "listed")
    ]
    assert "python -m shared.doctor --in-app" in ran.stdout
    assert ran.stdout.isascii()  # a terminal of Windows prints nothing else for certain


@pytest.mark.parametrize(("taken", "asked"), [(DEPLOYMENT.encode(), DEPLOYMENT), (b"", "latest"), (b"{}", "latest")])
def test_a_deployment_is_followed_however_it_is_told(publishing: Publishing, taken: bytes, asked: str) -> None:
    """Its id bare and not as JSON, or none at all: it is followed to its end all the same."""
    publishing.state.taken = taken
    publishing.state.deployment = [1, 3]
    publishing.fails("deployment_failed")
    assert publishing.state.requests[-1] == f"GET /api/deployments/{asked}"


def test_the_triggers_are_read_in_both_ways(publishing: Publishing) -> None:
    """The portal's way was seen to help where the documented one did not, so neither is relied on alone."""
    publishing.state.functions = [[PLACEHOLDER], [PLACEHOLDER], functions()]
    assert publishing.run("confirm").returncode == 0
    posts = [one.removeprefix(f"POST {SITE}") for one in publishing.state.requests if one.startswith("POST")]
    assert posts == ["/host/default/sync", "/syncfunctiontriggers", "/host/default/sync"]


def test_an_app_that_does_not_start_fails_the_publishing(publishing: Publishing) -> None:
    """The upload succeeds, the placeholder stays: what to look at is told, and the exit code is not 0."""
    publishing.state.functions = [[PLACEHOLDER]]
    said = publishing.fails("functions_not_listed")
    assert f"not listed: {', '.join(functions())}" in said
    assert "AppExceptions" in said
    assert len(publishing.state.sent) == 1


def test_a_list_from_before_does_not_count(publishing: Publishing) -> None:
    """The old code's functions are listed, but the triggers of the new cannot be read: that is no success."""
    publishing.state.functions = [functions()]
    publishing.state.readings = 1
    publishing.state.syncs = [503] * 1000
    assert "reading the triggers: 503" in publishing.fails("functions_not_listed", "confirm")


def test_one_missing_function_fails_the_publishing(publishing: Publishing) -> None:
    """All but one is not enough, and the one is named."""
    publishing.state.functions = [functions()[1:]]
    assert f"not listed: {functions()[0]}\n" in publishing.fails("functions_not_listed", "confirm")


def test_what_passes_is_waited_for(publishing: Publishing) -> None:
    """A busy or restarting publishing site, a lost connection, a deployment under way: the package is sent again."""
    publishing.state.knocks = [502, 0]
    publishing.state.publishing = [503, 0, 409, 429]
    publishing.state.deployment = [GONE, 502, 0, 4]
    publishing.state.syncs = [503, 400]
    ran = publishing.run(limit_s=100)
    assert ran.returncode == 0, ran.stderr
    assert len(publishing.state.sent) == 1


def test_a_deployment_that_is_no_longer_told_of_is_left_to_the_list(publishing: Publishing) -> None:
    """Azure forgets a deployment that has ended; then the list says whether the app runs."""
    publishing.state.deployment = [1, GONE]
    assert publishing.run().returncode == 0


@pytest.mark.parametrize(
    ("status", "name", "said"),
    [
        (-1, "deployment_cancelled", "Cancelled"),
        (3, "deployment_failed", "Deployment failed; the step that failed"),
        (5, "deployment_running", "status 5"),
        (6, "deployment_partial", "Partially successful"),
        (1, "deployment_unfinished", "has not ended"),
        (GONE, "deployment_unfinished", "404"),
    ],
)
def test_a_deployment_that_does_not_succeed_is_named(publishing: Publishing, status: int, name: str, said: str) -> None:
    """Each way to end, or not to, has a name and a next step; nothing is listed then."""
    publishing.state.deployment = [status]
    assert said in publishing.fails(name)
    assert publishing.state.readings == 0


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "package_refused"),
        (415, "package_refused"),
        (401, "no_right"),
        (403, "no_right"),
        (404, "other_plan"),
        (409, "deployment_running"),
        (503, "publishing_site_ill"),
        (0, "network"),
        (302, "package_refused"),
    ],
)
def test_an_upload_that_is_refused_is_named(publishing: Publishing, status: int, name: str) -> None:
    """What stays the same is not tried again; what may pass is, until the time is over."""
    publishing.state.publishing = [status] * 1000
    publishing.fails(name)
    assert publishing.state.sent == []
    assert not any(ELSEWHERE in one for one in publishing.state.requests)  # a token does not follow a redirection
    tries = publishing.state.requests.count("POST /api/publish")
    assert tries >= 3 if status in {409, 503} else tries == (3 if status == 0 else 1)


@pytest.mark.parametrize("taken", [PUBLISHING, MANAGEMENT])
@pytest.mark.parametrize("told", [True, False])
def test_the_publishing_site_gets_the_token_that_it_takes(publishing: Publishing, taken: str, *, told: bool) -> None:
    """Of the old kind and the new: whichever the site takes, and whether az tells the new kind's audience or not."""
    publishing.state.audiences = [taken]
    if not told:
        publishing.change_account(endpoints={**publishing.azure.endpoints(), "appServiceResourceId": None})
    if told or taken == MANAGEMENT:
        assert publishing.run().returncode == 0
    else:
        publishing.fails("no_right")


def test_a_sign_in_without_a_token_for_the_publishing_site_uses_the_other(publishing: Publishing) -> None:
    """A workflow's sign-in gives out no new kind of token after some minutes; one for management it has by then."""
    publishing.change_account(no_token_for=[PUBLISHING])
    publishing.state.audiences = [MANAGEMENT]
    assert publishing.run().returncode == 0


@pytest.mark.parametrize(("status", "name"), [(0, "network"), (403, "no_right"), (503, "publishing_site_ill")])
def test_a_publishing_site_that_cannot_be_asked_gets_no_package(publishing: Publishing, status: int, name: str) -> None:
    """It is found out before megabytes are sent."""
    publishing.state.knocks = [status] * 1000
    publishing.fails(name)
    assert "POST /api/publish" not in publishing.state.requests


def test_a_closed_publishing_site_is_named_with_the_command_that_opens_it(publishing: Publishing) -> None:
    """With `publishingAccess` = `Disabled`: how to open it, and that it is to be closed again."""
    publishing.state.is_public = False
    said = publishing.fails("publishing_closed")
    assert f"az resource update --ids {SITE} --set properties.publicNetworkAccess=Enabled" in said
    assert "publicNetworkAccess=Disabled" in said


@pytest.mark.parametrize("refused", ["site", "sync", "list"])
def test_a_missing_right_is_named(publishing: Publishing, refused: str) -> None:
    """Whoever may not read the app, have its triggers read or list its functions hears it at once."""
    publishing.state.refuses = {refused}
    assert "Website Contributor" in publishing.fails("no_right")


def test_an_app_of_another_python_gets_no_package(publishing: Publishing) -> None:
    """The mismatch is named with both versions, before anything is sent; so is an app of another runtime."""
    publishing.state.python_version = "3.12"
    said = publishing.fails("package_python")
    assert "was made for Python 3.13, and the app runs 3.12" in said
    assert "make package PACKAGE_PYTHON=3.12" in said
    publishing.state.runtime = "node"
    publishing.fails("other_plan")
    assert publishing.state.sent == []


def test_grants_come_first(publishing: Publishing) -> None:
    """Missing grants stop it with the commands that make them; once they are made, the same command goes through."""
    publishing.state.roles = []
    said = publishing.fails("grants_missing", "--grants-made")
    assert f"lacks {SUBMIT}\n" in said
    assert "infra/scripts/graph-access.sh --identity 11111111-2222-3333-4444-555555555555\n" in said
    assert "infra/scripts/exchange-access.ps1" in said
    assert publishing.state.sent == []
    publishing.state.roles = [PERMISSIONS[SUBMIT]]
    assert publishing.run().returncode == 0


def test_a_source_that_is_on_needs_its_permission(publishing: Publishing) -> None:
    """What the settings switch on decides which permissions are needed, and which options the command gets."""
    publishing.environment["DEFENDER_ALERTS"] = "on"
    said = publishing.fails("grants_missing", "check")
    assert f"lacks {ALERTS}\n" in said
    assert "--with-alerts\n" in said


def test_grants_that_cannot_be_asked_for_stop_it_unless_somebody_vouches(publishing: Publishing) -> None:
    """Where Graph does not let whoever publishes ask, their word decides: an option, or a variable of azd's."""
    publishing.state.refuses = {"graph"}
    assert "azd env set GRANTS_MADE yes" in publishing.fails("grants_unknown", "check")
    assert publishing.run("check", "--grants-made").returncode == 0
    publishing.environment["GRANTS_MADE"] = "yes"
    assert publishing.run("check").returncode == 0


def test_a_sign_in_without_a_token_for_graph_can_publish(publishing: Publishing) -> None:
    """A workflow's sign-in gives out no new kind of token after some minutes: whoever approved it vouches."""
    publishing.change_account(no_token_for=[publishing.azure.endpoints()["microsoftGraphResourceId"]])
    publishing.fails("grants_unknown", "check")
    assert publishing.run("--grants-made").returncode == 0


def test_both_troubles_are_told_at_once(publishing: Publishing) -> None:
    """A wrong package does not hide that grants are missing."""
    publishing.state.python_version, publishing.state.roles = "3.11", []
    said = publishing.fails("grants_missing", "check")
    assert "STOPPED package_python: " in said


def test_who_is_not_signed_in_is_told_how(publishing: Publishing) -> None:
    """No session, and no az at all."""
    publishing.change_account(signed_in=False)
    assert "az login" in publishing.fails("not_signed_in")
    publishing.environment["PATH"] = "/nowhere"
    publishing.fails("az_missing")


def test_an_app_that_is_not_there_is_named(publishing: Publishing) -> None:
    """A wrong name or subscription, with what was looked for."""
    assert "other" in publishing.fails("app_not_found", "--subscription", "other")


def test_a_stranger_s_certificate_is_not_trusted(publishing: Publishing) -> None:
    """No token goes to a host that cannot prove its name."""
    del publishing.environment["SSL_CERT_FILE"]
    assert "CERTIFICATE_VERIFY_FAILED" in publishing.fails("network")
    assert publishing.state.requests == []


def test_a_package_built_anew_in_azure_is_no_success(publishing: Publishing) -> None:
    """Should Azure ever build it all the same, that is an error: what runs was not tested."""
    publishing.state.builds_remotely = True
    publishing.fails("built_remotely")


def test_three_questions_are_asked_however_slow_the_machine_is() -> None:
    """A time that is over while the machine was busy is no answer of Azure's."""
    assert list(Patience(limit_s=-1, pause_s=0).rounds()) == [1, 2, 3]


def test_options_that_are_missing_are_a_usage_error(publishing: Publishing) -> None:
    """Without group and name there is nothing to publish to."""
    command = [sys.executable, "-m", "local.publish", "check"]
    ran = subprocess.run(command, cwd=ROOT, env=publishing.environment, capture_output=True, text=True, check=False)
    assert (ran.returncode, "--resource-group and --name" in ran.stderr) == (2, True)


def test_it_needs_the_standard_library_alone() -> None:
    """It runs where nothing of ours is installed, and on Windows, which has no fcntl."""
    code = "import sys; sys.modules['fcntl'] = None; import local.publish.__main__"
    ran = subprocess.run([sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    for file in (ROOT / "local" / "publish").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("local."):
                assert node.module.startswith("local.publish."), file


def test_a_package_tells_its_functions_and_its_python(tmp_path: Path) -> None:
    """The functions are those that azure.functions indexes, read without running the app."""
    package = read_package(write_package(tmp_path / "app.zip", "3.12"))
    assert (sorted(package.functions), package.python_version) == (functions(), "3.12")


def test_a_function_has_the_name_that_it_is_given(tmp_path: Path) -> None:
    """A decorator names it otherwise than its definition; what has no trigger is no function of the app."""
    source = '@app.function_name(name="other")\n@app.timer_trigger(schedule="")\ndef one(): ...\ndef two(): ...\n'
    file = write_package(tmp_path / "app.zip", leave_out="function_app.py")
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("function_app.py", source)
    assert read_package(file).functions == {"other"}


@pytest.mark.parametrize("missing", ["function_app.py", "host.json", ".python_packages", ""])
def test_another_zip_is_no_package(tmp_path: Path, missing: str) -> None:
    """Nothing is sent that cannot run: no code, no host.json, no dependencies, no zip."""
    file = write_package(tmp_path / "app.zip", leave_out=missing) if missing else tmp_path / "app.zip"
    if not missing:
        file.write_bytes(b"no zip")
    with pytest.raises(Trouble, match="package_unreadable"):
        read_package(file)


def test_modules_of_two_pythons_are_no_package(tmp_path: Path) -> None:
    """It would run on neither whole."""
    file = write_package(tmp_path / "app.zip")
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(f"{SITE_PACKAGES}yarl/_quoting.cpython-311-x86_64-linux-gnu.so", "machine code")
    with pytest.raises(Trouble, match=r"made for 3\.11 and 3\.13"):
        read_package(file)


def test_the_package_for_the_app_s_python_is_chosen(tmp_path: Path) -> None:
    """One that fits is taken; none and two are named with what is there."""
    with pytest.raises(Trouble, match=r"package_missing.*no package"):
        choose_package(tmp_path, "3.13")
    write_package(tmp_path / "a.zip", "3.11")
    with pytest.raises(Trouble, match=r"runs Python 3\.13, and .* holds a\.zip \(Python 3\.11\)"):
        choose_package(tmp_path, "3.13")
    fitting = write_package(tmp_path / "b.zip", "3.13")
    assert choose_package(tmp_path, "3.13").file == fitting
    shutil.copy(fitting, tmp_path / "c.zip")
    with pytest.raises(Trouble, match="package_ambiguous"):
        choose_package(tmp_path, "3.13")


def test_azd_finds_the_package_laid_out(tmp_path: Path) -> None:
    """The folder holds the package and one file for azd, and nothing of what lay there before."""
    package = read_package(write_package(tmp_path / "app.zip"))
    folder = tmp_path / "azd"
    (folder / "old").mkdir(parents=True)
    unpack(package, folder)
    with zipfile.ZipFile(package.file) as archive:
        names = set(archive.namelist())
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == names | {".funcignore"}
    assert not (folder / "old").exists()


def test_the_page_tells_every_trouble() -> None:
    """Each name that publishing can stop with stands in docs/deploy.md with what to do, and no other."""
    named = set()
    for file in (ROOT / "local" / "publish").glob("*.py"):
        text = file.read_text()
        named |= set(re.findall(r'Trouble\(\s*"(\w+)"', text)) | set(re.findall(r'\("(deployment_\w+)", ', text))
    assert len(named) > 20
    page = (ROOT / "docs" / "deploy.md").read_text()
    table = page.partition("| name | what it means |")[2].partition("\n\n")[0]
    rows = [row.split("|")[1] for row in table.splitlines()[2:]]
    assert set(re.findall(r"`(\w+)`", " ".join(rows))) == named
