"""Lets Azure read the app's triggers until it lists every function of the package.

After a deployment Azure may know only its placeholder `WarmUp`. Then no timer fires and no queue is looked at, until
somebody asks for the triggers to be read (Azure/azure-functions-host, issue 10169). Reading starts the app, so one that
cannot start, by a wrong setting for example, is never listed: that ends here as an error.
"""

from __future__ import annotations

import itertools

from local.publish.azure import App, Azure, require_right
from local.publish.patience import Patience
from local.publish.trouble import Trouble, excerpt
from local.publish.web import NoAnswer

# The portal's Refresh, which was seen to help where the documented request did not (Azure/functions-action, issues 245
# and 373), and the documented one (Microsoft Learn, "Trigger syncing").
_SYNCS = ("/host/default/sync", "/syncfunctiontriggers")
_LOOK = """Until this is put right the app does nothing; what is waiting keeps waiting. Most likely it cannot start.
In the logs of its Application Insights the newest row says why:
  AppExceptions | where TimeGenerated > ago(1h) | order by TimeGenerated desc | project TimeGenerated, OuterMessage
A setting that it names: correct it, deploy the resources. Another Python: publish the package made for the app's.
No row: the host cannot reach its storage, or the app itself. See "If it fails" in docs/deploy.md, then run it again."""


def wait_until_listed(azure: Azure, app: App, functions: frozenset[str], patience: Patience) -> None:
    """Return when Azure lists all of these functions right after it has read the triggers.

    Raises Trouble when they are not listed within the time, and where whoever is signed in may not ask.
    """
    told, readings = "", 0
    syncs = itertools.cycle(_SYNCS)
    for readings in patience.rounds():  # noqa: B007 - told when they were not enough
        seen = _look(azure, app, functions, next(syncs))
        if seen == "":
            print(f"listed   {', '.join(sorted(functions))}")
            return
        if seen != told:
            print(f"waiting  {seen}")
        told = seen
    raise Trouble("functions_not_listed", f"after {readings} readings of the triggers: {told}", _LOOK)


def _look(azure: Azure, app: App, functions: frozenset[str], sync: str) -> str:
    """Has the triggers read, then compares; returns what is amiss, empty where nothing is."""
    try:
        synced = azure.manage("POST", f"{app.path}{sync}")
        require_right(synced, f"have the triggers of {app.name} read")
        if synced.status >= 300:
            return f"reading the triggers: {synced.told()}"
        listed = _listed(azure, app)
    except NoAnswer as error:
        return f"no answer from Azure Resource Manager: {error}"
    missing = sorted(name for name in functions if name.casefold() not in listed)
    return f"not listed: {', '.join(missing)}" if missing else ""


def _listed(azure: Azure, app: App) -> set[str]:
    """The names of the functions that Azure lists, without case; none where it lists nothing yet."""
    path, found = f"{app.path}/functions", set[str]()
    while path:
        answer = azure.manage("GET", path)
        require_right(answer, f"list the functions of {app.name}")
        page = answer.json() if answer.status == 200 else None
        if not isinstance(page, dict):
            raise NoAnswer(f"listing functions: {excerpt(answer.told())}")
        found |= {one["name"].rpartition("/")[2].casefold() for one in page["value"]}
        path = page.get("nextLink") or ""
    return found
