"""Delta rounds over one folder: tokens, pages, and what goes wrong with them.

A token carries the whole state of a round, sealed in base64: the options of the first request, the stretch of the
folder's journal that belongs to the round and the place reached in it. The server keeps nothing, and a token stays good
until its generation is expired.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import astuple, dataclass, replace
from datetime import datetime
from itertools import islice

from local.graph_simulator.answer import RefusedError, bad_request
from local.graph_simulator.mailbox import Change, ChangeKind, Folder, StoredMessage


@dataclass(frozen=True, slots=True)
class MailTraps:
    """What the mail API does to its clients.

    `default_page_size`: without `$top` or `odata.maxpagesize`. `empty_pages`: the pages of every round, counted from 1,
    that come empty and with a nextLink. `replayed_changes`: how many of the last round's changes a round repeats.
    `refuse_received_filter`: answer `$filter` on delta with 400 ErrorInvalidUrlQuery, as some tenants do.
    `refuse_expand`: answer `$expand` on a message with 400. `expand_whole`: show files' bytes although the selection
    inside `$expand` leaves them out, as was seen on change feeds (microsoft-graph-docs-contrib, issue 8431).
    `filter_cap`: how many messages, the newest, a filtered first round shows. `hide_moved_from_immutable`: with
    immutable ids, messages moved into a folder are missing from its delta. `concurrent_requests`: how many a mailbox
    serves at a time. `link_base_url`: where nextLink and deltaLink point instead of the simulator (hostile if set).
    """

    default_page_size: int = 10
    empty_pages: tuple[int, ...] = ()
    replayed_changes: int = 0
    refuse_received_filter: bool = False
    refuse_expand: bool = False
    expand_whole: bool = False
    filter_cap: int = 5000
    hide_moved_from_immutable: bool = False
    concurrent_requests: int = 4
    link_base_url: str = ""


@dataclass(frozen=True, slots=True)
class DeltaRound:
    """The state of a round. `until` is the last journal position of the round, -1 in a deltaLink until it is used."""

    generation: int
    user_id: str
    folder_id: str
    page_size: int | None
    change_kind: ChangeKind | None = None
    select: tuple[str, ...] | None = None
    received_from: str | None = None
    floor: str | None = None
    is_first: bool = True
    after: int = 0
    until: int = -1
    page: int = 1


@dataclass(frozen=True, slots=True)
class DeltaPage:
    """The changes of one page and the round as it stands behind it; `is_last` means a deltaLink follows."""

    changes: list[Change]
    next_round: DeltaRound
    is_last: bool


def seal_round(state: DeltaRound) -> str:
    """Return the round as an opaque token."""
    return urlsafe_b64encode(json.dumps(astuple(state)).encode()).decode()


def unseal_round(token: str, *, generation: int) -> DeltaRound:
    """Return the round of a token. Raises RefusedError: 410 if expired, 400 if it never was one (or is `latest`)."""
    try:
        values = json.loads(urlsafe_b64decode(token.encode()))
        state = DeltaRound(*values)
    except (ValueError, TypeError) as error:
        raise bad_request("Badly formed content. The token is not valid.", "ErrorInvalidUrlQuery") from error
    if state.generation != generation:
        raise RefusedError(
            410, "SyncStateNotFound", "The sync state generation is not found; a full synchronization is required."
        )
    return replace(state, select=None if state.select is None else tuple(state.select))


def read_page(folder: Folder, state: DeltaRound, traps: MailTraps, default_size: int, *, immutable: bool) -> DeltaPage:
    """Return the next page of a round, starting the round if its token is a deltaLink's."""
    state = _start_round(folder, state, traps)
    if state.page in traps.empty_pages:
        return DeltaPage([], replace(state, page=state.page + 1), is_last=False)
    hide_moved = immutable and traps.hide_moved_from_immutable
    wanted = (change for change in _read_wanted(folder, state) if not (hide_moved and change.moved))
    size = state.page_size or default_size
    changes = list(islice(wanted, size + 1))
    if len(changes) <= size:
        return DeltaPage(changes, _finish_round(state), is_last=True)
    shown = changes[:size]
    return DeltaPage(shown, replace(state, after=shown[-1].position, page=state.page + 1), is_last=False)


def _start_round(folder: Folder, state: DeltaRound, traps: MailTraps) -> DeltaRound:
    if state.until >= 0:
        return state
    after = state.after if state.is_first else max(0, state.after - traps.replayed_changes)
    floor = _find_floor(folder, state, traps.filter_cap) if state.is_first else state.received_from
    return replace(state, after=after, until=len(folder.journal), floor=floor)


def _finish_round(state: DeltaRound) -> DeltaRound:
    return replace(state, is_first=False, after=state.until, until=-1, page=1, floor=None)


def _find_floor(folder: Folder, state: DeltaRound, cap: int) -> str | None:
    """Return the instant from which a filtered first round shows mail: the filter's, or that of the cap's oldest."""
    if state.received_from is None:
        return None
    threshold = datetime.fromisoformat(state.received_from)
    received = sorted(at for at in map(_read_received, folder.messages.values()) if at >= threshold)
    return state.received_from if len(received) <= cap else received[-cap].isoformat()


def _read_received(message: StoredMessage) -> datetime:
    return message.item.received_at


def _read_wanted(folder: Folder, state: DeltaRound) -> Iterator[Change]:
    floor = None if state.floor is None else datetime.fromisoformat(state.floor)
    for change in folder.read_journal(state.after, state.until):
        if not folder.is_current(change, state.change_kind) or (state.is_first and change.kind == "deleted"):
            continue
        if floor is None or change.kind == "deleted" or change.message.item.received_at >= floor:
            yield change
