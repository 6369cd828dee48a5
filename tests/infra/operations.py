"""Storage requests as operations, each with the Azure permissions that Microsoft documents for it.

What left a client is translated by the shape of the request alone; a shape that no row of `SHAPES` knows is an error,
so that a new kind of request cannot pass unseen. The permissions are those of "Authorize with Microsoft Entra ID",
section "Permissions for calling data operations" (learn.microsoft.com/rest/api/storageservices).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

QUEUES = "Microsoft.Storage/storageAccounts/queueServices/queues"
TABLES = "Microsoft.Storage/storageAccounts/tableServices/tables"
CONTAINERS = "Microsoft.Storage/storageAccounts/blobServices/containers"
_MARKS = ("comp", "restype", "peekonly")
_UPSERT = ((f"{TABLES}/entities/write",), (f"{TABLES}/entities/add/action", f"{TABLES}/entities/update/action"))
_UPDATE = ((f"{TABLES}/entities/write",), (f"{TABLES}/entities/update/action",))

NEEDS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "Get Queue Metadata": ((f"{QUEUES}/read",),),
    "Create Queue": ((f"{QUEUES}/write",),),
    "Put Message": ((f"{QUEUES}/messages/add/action",), (f"{QUEUES}/messages/write",)),
    "Get Messages": ((f"{QUEUES}/messages/process/action",), (f"{QUEUES}/messages/delete", f"{QUEUES}/messages/read")),
    "Peek Messages": ((f"{QUEUES}/messages/read",),),
    "Delete Message": ((f"{QUEUES}/messages/process/action",), (f"{QUEUES}/messages/delete",)),
    "Clear Messages": ((f"{QUEUES}/messages/delete",),),
    "Update Message": ((f"{QUEUES}/messages/write",),),
    "Query Tables": ((f"{TABLES}/read",),),
    "Create Table": ((f"{TABLES}/write",),),
    "Delete Table": ((f"{TABLES}/delete",),),
    "Query Entities": ((f"{TABLES}/entities/read",),),
    "Insert Entity": ((f"{TABLES}/entities/write",), (f"{TABLES}/entities/add/action",)),
    "Insert Or Replace Entity": _UPSERT,
    "Insert Or Merge Entity": _UPSERT,
    "Update Entity": _UPDATE,
    "Merge Entity": _UPDATE,
    "Delete Entity": ((f"{TABLES}/entities/delete",),),
    "Create Container": ((f"{CONTAINERS}/write",),),
    "Get Container Properties": ((f"{CONTAINERS}/read",),),
    "List Blobs": ((f"{CONTAINERS}/blobs/read",),),
    "Put Blob": ((f"{CONTAINERS}/blobs/write",),),
    "Get Blob": ((f"{CONTAINERS}/blobs/read",),),
    "Get Blob Properties": ((f"{CONTAINERS}/blobs/read",),),
    "Set Blob Metadata": ((f"{CONTAINERS}/blobs/write",),),
    "Lease Blob": ((f"{CONTAINERS}/blobs/write",),),
    "Delete Blob": ((f"{CONTAINERS}/blobs/delete",),),
    "Publish Telemetry": (("Microsoft.Insights/Telemetry/Write",), ("Microsoft.Insights/Metrics/Write",)),
}
"""Each operation's alternatives: the permissions of any one of them suffice."""


@dataclass(frozen=True, slots=True, order=True)
class Resource:
    """What an operation touches or a grant covers: a whole account (`kind` and `name` empty) or a part of one."""

    account: str
    kind: str = ""
    name: str = ""

    def covers(self, other: "Resource") -> bool:
        """Whether a grant here counts there."""
        return self == other or (self.account == other.account and not self.kind)


@dataclass(frozen=True, slots=True, order=True)
class Operation:
    """An operation by the name that Microsoft's REST reference gives it, a key of `NEEDS`."""

    name: str
    resource: Resource


@dataclass(frozen=True, slots=True)
class Sent:
    """A request as it left a client of the data account; a transaction has its requests as `parts`."""

    service: str
    method: str
    url: str
    is_conditional: bool
    parts: tuple["Sent", ...] = ()


@dataclass(frozen=True, slots=True)
class Shape:
    """How a request of one operation looks: its path behind the account, and what tells it from its neighbours."""

    service: str
    method: str
    path: str
    operation: str
    marks: Mapping[str, str]
    is_conditional: bool | None = None

    def resource(self, sent: Sent, path: str, marks: Mapping[str, str]) -> Resource | None:
        """What such a request touches, or None if this is no such request."""
        found = re.fullmatch(self.path, path)
        is_alike = (self.service, self.method, self.marks) == (sent.service, sent.method, marks)
        if found is None or not is_alike or self.is_conditional not in (None, sent.is_conditional):
            return None
        return Resource("data", {"queue": "queue", "table": "table", "blob": "container"}[self.service], found[1])


_QUEUE, _MESSAGES, _MESSAGE = "([a-z0-9-]+)", "([a-z0-9-]+)/messages", "([a-z0-9-]+)/messages/[^/]+"
_TABLE, _ENTITIES, _ENTITY = r"(\w+)", r"(\w+)\(\)", r"(\w+)\(PartitionKey='.*',RowKey='.*'\)"
_CONTAINER, _BLOB = "([a-z0-9-]+)", "([a-z0-9-]+)/.+"
SHAPES = (
    Shape("queue", "POST", _MESSAGES, "Put Message", {}),
    Shape("queue", "GET", _MESSAGES, "Get Messages", {}),
    Shape("queue", "GET", _MESSAGES, "Peek Messages", {"peekonly": "true"}),
    Shape("queue", "PUT", _MESSAGE, "Update Message", {}),
    Shape("queue", "DELETE", _MESSAGE, "Delete Message", {}),
    Shape("queue", "GET", _QUEUE, "Get Queue Metadata", {"comp": "metadata"}),
    Shape("table", "GET", _ENTITIES, "Query Entities", {}),
    Shape("table", "GET", _ENTITY, "Query Entities", {}),
    Shape("table", "POST", _TABLE, "Insert Entity", {}),
    Shape("table", "PUT", _ENTITY, "Update Entity", {}, is_conditional=True),
    Shape("table", "PUT", _ENTITY, "Insert Or Replace Entity", {}, is_conditional=False),
    Shape("table", "PATCH", _ENTITY, "Merge Entity", {}, is_conditional=True),
    Shape("table", "PATCH", _ENTITY, "Insert Or Merge Entity", {}, is_conditional=False),
    Shape("table", "DELETE", _ENTITY, "Delete Entity", {}),
    Shape("blob", "GET", _CONTAINER, "List Blobs", {"restype": "container", "comp": "list"}),
    Shape("blob", "PUT", _BLOB, "Put Blob", {}),
    Shape("blob", "PUT", _BLOB, "Set Blob Metadata", {"comp": "metadata"}),
    Shape("blob", "GET", _BLOB, "Get Blob", {}),
    Shape("blob", "DELETE", _BLOB, "Delete Blob", {}),
)


def operations(sent: Sent) -> Iterator[Operation]:
    """What a request does; raises ValueError for a request of no known shape.

    A transaction is addressed to the account. Microsoft has each of its parts authorised by itself and does not say at
    which scope, so the parts count at the account.
    """
    path, marks = _address(sent)
    if (sent.service, sent.method, path) == ("table", "POST", "$batch"):
        for part in sent.parts:
            for one in operations(part):
                yield Operation(one.name, Resource(one.resource.account))
        return
    for shape in SHAPES:
        resource = shape.resource(sent, path, marks)
        if resource is not None:
            yield Operation(shape.operation, resource)
            return
    raise ValueError(f"no operation is known for {sent.service} {sent.method} {path} {marks}")


def _address(sent: Sent) -> tuple[str, dict[str, str]]:
    """The path behind the account, which the emulator's addresses begin with, and the telling parts of the query."""
    parts = urlsplit(sent.url)
    _, _, path = unquote(parts.path).lstrip("/").partition("/")
    return path, {name: value for name, value in parse_qsl(parts.query) if name in _MARKS}
