"""Azure's built-in roles as far as this deployment could use them, with their fixed ids and what they permit.

From "Azure built-in roles", Storage and Monitor (learn.microsoft.com/azure/role-based-access-control/built-in-roles).
None of them has notActions or notDataActions. The ids are the same in every tenant; a wrong one grants something else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from tests.infra.operations import CONTAINERS, NEEDS, QUEUES, TABLES

_DELEGATION_KEY = "Microsoft.Storage/storageAccounts/blobServices/generateUserDelegationKey/action"
_DATA = ("/messages/", "/entities/", "/blobs/", "Microsoft.Insights/Telemetry/", "Microsoft.Insights/Metrics/")


@dataclass(frozen=True, slots=True)
class Role:
    """A role definition: `actions` count on the resource, `data_actions` on what is in it."""

    id: str
    actions: tuple[str, ...]
    data_actions: tuple[str, ...]

    def permits(self, permission: str) -> bool:
        """Whether the role holds a permission."""
        is_data = any(part in permission for part in _DATA)
        return any(fnmatchcase(permission, one) for one in (self.data_actions if is_data else self.actions))

    def is_part_of(self, other: "Role") -> bool:
        """Whether the other role holds every permission of this one, and more."""
        return self != other and all(other.permits(one) for one in (*self.actions, *self.data_actions))

    def allows(self, operation: str) -> bool:
        """Whether the role suffices for an operation."""
        return any(all(self.permits(one) for one in alternative) for alternative in NEEDS[operation])


ROLES: Mapping[str, Role] = {
    "Storage Blob Data Owner": Role(
        "b7e6dc6d-f1e8-4753-8033-0f276bb0955b", (f"{CONTAINERS}/*", _DELEGATION_KEY), (f"{CONTAINERS}/blobs/*",)
    ),
    "Storage Blob Data Contributor": Role(
        "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
        (f"{CONTAINERS}/delete", f"{CONTAINERS}/read", f"{CONTAINERS}/write", _DELEGATION_KEY),
        tuple(f"{CONTAINERS}/blobs/{one}" for one in ("delete", "read", "write", "move/action", "add/action")),
    ),
    "Storage Blob Data Reader": Role(
        "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1", (f"{CONTAINERS}/read", _DELEGATION_KEY), (f"{CONTAINERS}/blobs/read",)
    ),
    "Storage Queue Data Contributor": Role(
        "974c5e8b-45b9-4653-ba55-5f855dd0fb88",
        (f"{QUEUES}/delete", f"{QUEUES}/read", f"{QUEUES}/write"),
        tuple(f"{QUEUES}/messages/{one}" for one in ("delete", "read", "write", "process/action")),
    ),
    "Storage Queue Data Message Processor": Role(
        "8a0f0c08-91a1-4084-bc3d-661d67233fed",
        (),
        (f"{QUEUES}/messages/read", f"{QUEUES}/messages/process/action"),
    ),
    "Storage Queue Data Message Sender": Role(
        "c6a89b2d-59bc-44d0-9896-0f6e12d7b80a", (), (f"{QUEUES}/messages/add/action",)
    ),
    "Storage Queue Data Reader": Role(
        "19e7f393-937e-4f77-808e-94535e297925", (f"{QUEUES}/read",), (f"{QUEUES}/messages/read",)
    ),
    "Storage Table Data Contributor": Role(
        "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
        (f"{TABLES}/read", f"{TABLES}/write", f"{TABLES}/delete"),
        tuple(f"{TABLES}/entities/{one}" for one in ("read", "write", "delete", "add/action", "update/action")),
    ),
    "Storage Table Data Reader": Role(
        "76199698-9eea-4c19-bc75-cec21354c6b6", (f"{TABLES}/read",), (f"{TABLES}/entities/read",)
    ),
    "Monitoring Metrics Publisher": Role(
        "3913510d-42f4-4e42-8a64-420c390055eb",
        ("Microsoft.Insights/Register/Action",),
        ("Microsoft.Insights/Metrics/Write", "Microsoft.Insights/Telemetry/Write"),
    ),
}
"""By name; the smaller roles that are not granted are here so that a test can ask whether one of them would do."""
