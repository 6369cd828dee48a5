"""Sends the package to the app's publishing site and follows the deployment to its end.

Invariant: it returns only when the platform has told that this very deployment succeeded, or no longer tells of it.
Repeating it is safe: the same package is deployed again.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from local.publish.azure import App, Azure, require_right
from local.publish.package import Package
from local.publish.patience import Patience
from local.publish.trouble import Trouble, excerpt
from local.publish.web import Answer, NoAnswer

_ID = re.compile(r"[\w-]+")
_LOST_CONNECTIONS = 3
_SUCCESS = 4
_ENDED_BADLY = {
    -1: ("deployment_cancelled", "Run it again."),
    3: ("deployment_failed", "Read the deployment's log: {log}"),
    5: ("deployment_running", "Another deployment was under way. Wait until it has ended, then run it again."),
    6: ("deployment_partial", "Some steps failed, so old instances may still run the old code. Run it again: {log}"),
}
"""Kudu's status of a deployment; 0, 1 and 2 are pending, building, deploying."""


def upload(azure: Azure, app: App, package: Package, patience: Patience) -> None:
    """Deploy a package as it is. Raises Trouble for everything that is not a deployment that succeeded."""
    deployment_id = _send(azure, app, package, patience)
    if deployment_id:
        print(f"taken    deployment {deployment_id}")
        _follow(azure, app, deployment_id, patience)


def _send(azure: Azure, app: App, package: Package, patience: Patience) -> str:
    """Sends the package until it is taken; returns the deployment's id, empty where it is deployed already."""
    _until_answered(app, lambda: azure.knock(app), patience, {200, 202, 404})
    answer = _until_answered(app, lambda: azure.publish(app, package.content), patience, {200, 202})
    return _deployment_id(answer) if answer.status == 202 else ""


def _deployment_id(answer: Answer) -> str:
    """The id that stands in an answer, as JSON or bare; where it holds none, `latest` names the same deployment."""
    told = answer.json()
    bare = answer.body.decode(errors="replace").strip()
    return told if isinstance(told, str) and told else (bare if _ID.fullmatch(bare) else "latest")


def _until_answered(app: App, ask: Callable[[], Answer], patience: Patience, wanted: set[int]) -> Answer:
    """Asks the publishing site until it answers with a wanted status; raises Trouble where it does not."""
    seen, lost = "", 0
    for _ in patience.rounds():
        try:
            answer = ask()
        except NoAnswer as error:
            seen, lost = str(error), lost + 1
            if lost == _LOST_CONNECTIONS:
                raise _unreachable(app, seen) from None
            continue
        if answer.status in wanted:
            return answer
        _require_passing(app, answer)
        seen = answer.told()
        print(f"waiting  the publishing site answers {seen}")
    if seen.startswith("409"):
        raise Trouble("deployment_running", "another deployment is under way", "Wait until it has ended, run it again.")
    raise Trouble("publishing_site_ill", f"{app.site} answers {seen}", "Run it again in a few minutes.")


def _require_passing(app: App, answer: Answer) -> None:
    """Raises Trouble for an answer that stays the same however often the site is asked."""
    if answer.status == 403 and not (app.is_public and b"Ip Forbidden" not in answer.body):
        raise _unreachable(app, answer.told())
    require_right(answer, f"publish to {app.name}")
    if answer.status == 404:
        seen = f"{app.site} knows no /api/publish"
        raise Trouble("other_plan", seen, "Only Flex Consumption has it: name the app that infra/main.bicep deploys.")
    if answer.status != 409 and not answer.is_busy:
        raise Trouble("package_refused", f"{app.site} answers {answer.told()}", "Build the package anew, run it again.")


def _unreachable(app: App, seen: str) -> Trouble:
    if app.is_public:
        return Trouble(
            "network", f"{app.site}: {seen}", "Look at DNS, proxy and firewall of this machine, run it again."
        )
    command = f"az resource update --ids {app.path} --set properties.publicNetworkAccess="
    do = f"Run it from inside the app's network, or open the site and close it afterwards:\n{command}Enabled"
    return Trouble("publishing_closed", f"{app.site} is closed to the internet: {seen}", f"{do}\n{command}Disabled")


def _follow(azure: Azure, app: App, deployment_id: str, patience: Patience) -> None:
    seen, known = "nothing", False
    for _ in patience.rounds():
        try:
            answer = azure.deployment(app, deployment_id)
        except NoAnswer as error:
            seen = str(error)
            continue
        require_right(answer, f"read the deployment {deployment_id}")
        if answer.status == 404 and known:
            # Whoever told of the deployment was recycled after its end (Azure/azure-dev, funcapp_host_client.go).
            print("ended    Azure no longer tells of the deployment; what is listed decides")
            return
        told = answer.json()
        if answer.status not in {200, 202} or not isinstance(told, dict):
            seen = answer.told()
            continue
        known, seen = True, excerpt(str(told.get("status_text") or told.get("status")))
        if _has_ended(app, deployment_id, told):
            return
    do = f"Look whether it ended (https://{app.site}/api/deployments/{deployment_id}), then run it again."
    raise Trouble("deployment_unfinished", f"deployment {deployment_id} has not ended; last seen: {seen}", do)


def _has_ended(app: App, deployment_id: str, told: dict[str, Any]) -> bool:
    """Tells whether the deployment succeeded; raises Trouble where it ended in any other way."""
    status = told.get("status")
    if status in _ENDED_BADLY:
        name, do = _ENDED_BADLY[status]
        log = f"https://{app.site}/api/deployments/{deployment_id}/log"
        errors = (told.get("build_summary") or {}).get("errors") or []
        seen = excerpt("; ".join(map(str, [told.get("status_text") or f"status {status}", *errors])))
        raise Trouble(name, f"deployment {deployment_id}: {seen}", do.format(log=log))
    if status == _SUCCESS and told.get("remoteBuild"):
        seen = f"deployment {deployment_id} was built anew in Azure, though told not to"
        raise Trouble("built_remotely", seen, "What runs is not the tested package. Tell us, and run it again.")
    return status == _SUCCESS
