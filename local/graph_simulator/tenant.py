"""The simulated tenant: its domains, its mailboxes, and where its users' reports go.

This is the side a test works on: it delivers, moves and removes mail as people and Exchange would. It has no clock of
its own; every mail says when it was received.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from local.graph_simulator.mail_item import MailItem
from local.graph_simulator.mailbox import Mailbox, StoredMessage, UnknownItemError

__all__ = ["ReportDestination", "SimulatedTenant", "UnknownItemError"]

DEFAULT_TENANT_ID = "0e5c3a52-6c1e-4b5e-9d3f-2f6a7b8c9d01"


@dataclass(frozen=True, slots=True)
class ReportDestination:
    """The user-reported settings: reports go to Microsoft, to a mailbox (its address), or to both."""

    to_microsoft: bool = False
    mailbox: str = ""


class SimulatedTenant:
    """A tenant without mailboxes at first. Addresses are compared without case, ids with case."""

    def __init__(
        self,
        tenant_id: str = DEFAULT_TENANT_ID,
        domains: Iterable[str] = ("contoso.com",),
        destination: ReportDestination = ReportDestination(),
    ) -> None:
        self.tenant_id = tenant_id
        self.domains = frozenset(domain.lower() for domain in domains)
        self.destination = destination
        self._first_destination = destination
        self._mailboxes: dict[str, Mailbox] = {}
        self._delta_generation = 0

    def add_mailbox(self, address: str, *, app_may_read: bool = True, app_may_send: bool = False) -> str:
        """Return the user id of a mailbox, new or known. Where the app may not read, or not send, Graph answers 403.

        A known one gets the right to send, if that is asked for, and else stays as it is.
        """
        mailbox = self._mailboxes.get(address.lower())
        if mailbox is None:
            mailbox = Mailbox(address, app_may_read=app_may_read, app_may_send=app_may_send)
            self._mailboxes[address.lower()] = self._mailboxes[mailbox.user_id] = mailbox
        mailbox.app_may_send |= app_may_send
        return mailbox.user_id

    def add_folder(self, mailbox: str, name: str) -> None:
        """Make a folder with nothing in it, unless there is one of that name."""
        self._open(mailbox).open_folder(name)

    def deliver(self, mailbox: str, item: MailItem, folder: str = "inbox") -> str:
        """Put a mail into a folder (well-known or display name; created on first use); return its immutable id."""
        return self._open(mailbox).store(item, folder).immutable_id

    def move(self, mailbox: str, message_id: str, folder: str) -> str:
        """Move a message and return its new regular id."""
        box, message = self._locate(mailbox, message_id)
        box.move(message, folder)
        return message.regular_id

    def mark_read(self, mailbox: str, message_id: str, *, is_read: bool = True) -> None:
        """Change a message as a reader does: delta shows it again."""
        box, message = self._locate(mailbox, message_id)
        box.mark_read(message, is_read=is_read)

    def remove(self, mailbox: str, message_id: str) -> None:
        """Delete a message for good."""
        box, message = self._locate(mailbox, message_id)
        box.remove(message)

    def read_regular_id(self, mailbox: str, message_id: str) -> str:
        """Return a message's present regular id."""
        return self._locate(mailbox, message_id)[1].regular_id

    def expire_delta_links(self) -> None:
        """Make every nextLink and deltaLink handed out so far answer 410."""
        self._delta_generation += 1

    def reset(self) -> None:
        """Forget all mailboxes; tenant id and domains stay, delta links expire."""
        self._mailboxes.clear()
        self.destination = self._first_destination
        self.expire_delta_links()

    @property
    def delta_generation(self) -> int:
        """Delta links of an earlier generation have expired."""
        return self._delta_generation

    def find_mailbox(self, user: str) -> Mailbox | None:
        """Return the mailbox of an address or a user id."""
        return self._mailboxes.get(user.lower())

    def owns_address(self, address: str) -> bool:
        """Return whether the address is in one of the tenant's domains."""
        return address.rpartition("@")[2].lower() in self.domains

    def _open(self, mailbox: str) -> Mailbox:
        found = self.find_mailbox(mailbox)
        if found is None:
            raise UnknownItemError(f"no mailbox {mailbox}")
        return found

    def _locate(self, mailbox: str, message_id: str) -> tuple[Mailbox, StoredMessage]:
        box = self._open(mailbox)
        message = box.find_message(message_id)
        if message is None:
            raise UnknownItemError(f"no message {message_id} in {mailbox}")
        return box, message
