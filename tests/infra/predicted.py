"""What an example deployment would make, read from its kept snapshot; no compiler and no Azure is needed.

The snapshot holds what Azure would be asked for, after every condition and loop of the templates. What only Azure
knows, such as the id of an identity not made yet, stands there as an expression in square brackets; `stand_in` puts a
plausible value in its place. Nothing is read from the Bicep text.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from local.setup import ROOT

INFRA = ROOT / "infra"
EXAMPLES = ("trial", "production")
STORAGE = "Microsoft.Storage/storageAccounts"
SITE = "Microsoft.Web/sites"
MARKS = "parameters('simulationMarks')"
"""What a prediction tells of the marks of simulations: never their value, as the parameter may hold a secret."""
CLIENT_ID = "9a4f1d20-6c3b-4e0f-8b57-1d2e3f4a5b6c"

_KNOWN_TO_AZURE = {"clientId": CLIENT_ID, "ConnectionString": "InstrumentationKey=00000000-0000-0000-0000-000000000000"}
_REFERENCE = re.compile(r"reference\('[^']*', '[^']*'\)\.(\w+)")
_FORMAT = re.compile(r"format\('([^']*)'((?:, '[^']*')*)\)")
_TEXT = re.compile(r"'([^']*)'")


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource; `body` is all that is told of it, `parent` the name of the resource it is a part of, or ""."""

    id: str
    type: str
    name: str
    parent: str
    api_version: str
    body: Mapping[str, Any]

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> Self:
        """Return a resource as the snapshot tells it."""
        parent, _, name = body["name"].rpartition("/")
        return cls(body["id"], body["type"], name, parent.partition("/")[0], body["apiVersion"], body)

    @property
    def properties(self) -> Mapping[str, Any]:
        """What the resource is made with; empty where it has no properties."""
        found = self.body.get("properties", {})
        assert isinstance(found, dict)
        return found


@dataclass(frozen=True, slots=True)
class Prediction:
    """A deployment: its resources, and what it tells whoever deployed it."""

    text: str
    resources: tuple[Resource, ...]
    outputs: Mapping[str, Any]

    def of(self, kind: str, parent: str | None = None) -> list[Resource]:
        """Return the resources of a type, of one parent if it is named."""
        return [one for one in self.resources if one.type == kind and parent in {None, one.parent}]

    def only(self, kind: str) -> Resource:
        """Return the one resource of a type; raises ValueError where there is none or are several."""
        (found,) = self.of(kind)
        return found

    def data_account(self) -> str:
        """Return the name of the storage account that holds the data: the one with queues."""
        (name,) = {queue.parent for queue in self.of(f"{STORAGE}/queueServices/queues")}
        return name

    def app_settings(self) -> dict[str, str]:
        """Return the function app's settings, expressions replaced by plausible values."""
        settings = self.only(SITE).properties["siteConfig"]["appSettings"]
        found = {one["name"]: stand_in(one["value"]) for one in settings}
        assert len(found) == len(settings), "a setting is given twice"
        return found


def read_prediction(example: str) -> Prediction:
    """Return the kept prediction for one of `EXAMPLES`."""
    text = (INFRA / f"{example}.snapshot.json").read_text()
    told = json.loads(text)
    return Prediction(text, tuple(map(Resource.read, told["predictedResources"])), told["outputs"])


def stand_in(value: str) -> str:
    """Return a text, or for an expression what Azure could make of it in the global cloud.

    Raises ValueError for an expression that is not known here: say in this module what it could become.
    """
    if not value.startswith("["):
        return value
    if MARKS in value:
        return ""
    known = value[1:-1].replace("environment().suffixes.storage", "'core.windows.net'")
    known = _REFERENCE.sub(lambda found: f"'{_KNOWN_TO_AZURE[found[1]]}'", known)
    known = _FORMAT.sub(lambda found: f"'{found[1].format(*_TEXT.findall(found[2]))}'", known)
    literal = _TEXT.fullmatch(known)
    if literal is None:
        raise ValueError(f"an unknown expression: {value}")
    return literal[1]
