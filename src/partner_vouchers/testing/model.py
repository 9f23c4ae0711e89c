"""A model of the library: objects in lists, and a walk through all of them.

`calling.Calls` calls the library and then the method of the model that is named for the call. It returns attributes
that the answer must have, or raises `Refused` with the error that must be raised. Nothing here is shared with the
library but names. This module knows lists, campaigns and uploads; `model_of_requests` who is given a code;
`model_of_codes` what becomes of it then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any

from attrs import define, field

from partner_vouchers import errors
from partner_vouchers.domain.campaigns import RepeatPolicy
from partner_vouchers.domain.codes import mask
from partner_vouchers.domain.lifecycle import Status
from partner_vouchers.domain.limits import Limit
from partner_vouchers.domain.uploads import RowFaultKind

AVAILABLE, RESERVED, HELD = "available", "reserved", "held"
WITHDRAWN, RETIRED, RESTOCKED = "withdrawn", "retired", "restocked"
ENOUGH, LOW, EXHAUSTED = 0, 1, 2

EDITABLE = (Status.ACTIVE, Status.PAUSED, Status.EXPIRED)

Answer = dict[str, Any]
"""Attributes that an answer of the library must have."""

ScopeRule = Callable[[str, str], object]
"""Says from partner and tag where a code must be unique."""


class Refused(Exception):
    """The library must refuse with exactly this error."""

    def __init__(self, error: type[errors.PartnerVouchersError]) -> None:
        super().__init__(error.__name__)
        self.error: type[errors.PartnerVouchersError] = error


@define(eq=False)
class KnownUpload:
    """An upload that ended.

    Attributes:
        list_id: its list.
        file: its bytes.
        accepted: the codes that it brought.
        withdrawn: how many codes were taken back.
        is_withdrawn: whether it was taken back, also if no code was left.
    """

    list_id: str
    file: bytes
    accepted: tuple[str, ...]
    withdrawn: int = 0
    is_withdrawn: bool = False


@define(eq=False)
class KnownCode:
    """An entry: one code of one list.

    Attributes:
        code: the code.
        list_id: its list.
        upload: the upload that brought it.
        state: `RESTOCKED` is an entry that a newer one of the same code replaced.
        returned: whether it came back, so that it is given before others.
        lingers: whether it came back because its reservation ran out; a storage may do that late.
        taken_over: whether another list took its place in the duplicate rule.
        is_second: whether it is the entry of a code that was taken back; it is behind the others in any place.
    """

    code: str = field(repr=mask)
    list_id: str
    upload: KnownUpload
    state: str = AVAILABLE
    returned: bool = False
    lingers: bool = False
    taken_over: bool = False
    is_second: bool = False

    @property
    def holds_its_place(self) -> bool:
        """Whether no other list of the scope may have the code."""
        return self.state not in (WITHDRAWN, RESTOCKED)


@define(eq=False)
class KnownList:
    """A list with its entries in upload order."""

    id: str
    partner: str
    tag: str
    scope: object
    name: str
    expires_at: datetime
    low_stock_at: int | None
    version: int = 1
    paused: bool = False
    archived: bool = False
    announced: int = ENOUGH
    had_run_out: bool = False
    codes: list[KnownCode] = field(factory=list)

    def those(self, *states: str) -> list[KnownCode]:
        """Return the entries in some states."""
        return [known for known in self.codes if known.state in states]

    @property
    def counts(self) -> dict[str, int]:
        """The counters of the list."""
        counted = {state: len(self.those(state)) for state in (AVAILABLE, RESERVED, WITHDRAWN, RETIRED)}
        uploaded = len(self.codes) - len(self.those(RESTOCKED))
        return {**counted, "uploaded": uploaded, "distributed": len(self.those(HELD))}


@define
class KnownLink:
    """A link; `age` is the number of the moment at which it was made."""

    list_id: str
    campaign_id: str
    repeat: RepeatPolicy
    priority: int
    age: int


class ModelOfLists:
    """Partners, lists, campaigns and uploads, and each operation on them.

    Attributes:
        now: the present instant.
        said: what the library said, or None if it refused: ids are its choice.
        events: the events that the outbox must have since it was read last: the name of each, and its subject.
    """

    def __init__(self, scope_rule: ScopeRule, now: datetime) -> None:
        self.scope_rule = scope_rule
        self.now: datetime = now
        self.said: Any = None
        self.partners: set[str] = set()
        self.lists: dict[str, KnownList] = {}
        self.links: dict[tuple[str, str], KnownLink] = {}
        self.limits: dict[str, Sequence[Limit]] = {}
        self.uploads: dict[str, KnownUpload] = {}
        self.events: list[tuple[str | None, ...]] = []
        self._links_made = 0

    # --- partners and lists ---

    def partners_add(self, name: str) -> Answer:
        if name in self.partners:
            raise Refused(errors.PartnerExists)
        self.partners.add(name)
        self.events.append(("partner.added", None))
        return {"name": name}

    def lists_create(self, *, partner: str, tag: str, **fields: Any) -> Answer:
        tag = tag.lower()
        if partner not in self.partners:
            raise Refused(errors.UnknownPartner)
        if any((it.partner, it.tag) == (partner, tag) and not it.archived for it in self.lists.values()):
            raise Refused(errors.TagTaken)
        list_id = getattr(self.said, "id", "")
        assert list_id not in self.lists, "an id was used again"
        known = KnownList(list_id, partner, tag, self.scope_rule(partner, tag), **fields)
        self.lists[list_id] = known
        self.events.append(("list.created", list_id))
        return self._shown(known)

    def status(self, known: KnownList) -> Status:
        """Return the status of a list now."""
        if known.archived:
            return Status.ARCHIVED
        if self.now > known.expires_at:
            return Status.EXPIRED
        return Status.PAUSED if known.paused else Status.ACTIVE

    def require(self, list_id: str, *statuses: Status) -> KnownList:
        """Return a list that must be in one of these statuses; any will do if none is named."""
        known = self.lists.get(list_id)
        if known is None:
            raise Refused(errors.UnknownList)
        if statuses and self.status(known) not in statuses:
            raise Refused(errors.ActionNotAllowed)
        return known

    def lists_pause(self, list_id: str) -> Answer:
        known = self.require(list_id, Status.ACTIVE)
        known.paused = True
        return self._changed(known, "list.paused")

    def lists_activate(self, list_id: str) -> Answer:
        known = self.require(list_id, Status.PAUSED)
        known.paused = False
        return self._changed(known, "list.activated")

    def lists_archive(self, list_id: str) -> Answer:
        known = self.require(list_id, *EDITABLE)
        known.archived = True
        return {**self._changed(known, "list.archived"), "campaign_ids": self.campaigns_of(list_id)}

    def lists_edit(self, list_id: str, *, version: int | None, **changes: Any) -> Answer:
        known = self.require(list_id)
        if version is not None and version != known.version:
            raise Refused(errors.StaleVersion)
        self.require(list_id, *EDITABLE)
        expires_at = changes.get("expires_at", known.expires_at)
        if expires_at != known.expires_at and expires_at <= self.now:
            raise Refused(errors.ExpiryNotInFuture)
        if all(getattr(known, name) == value for name, value in changes.items()):
            return self._shown(known)
        threshold = known.low_stock_at
        for name, value in changes.items():
            setattr(known, name, value)
        shown = self._changed(known, "list.edited")
        if known.low_stock_at != threshold and known.codes:
            self._announce(known)
        return shown

    def lists_delete(self, list_id: str) -> None:
        known = self.require(list_id, *EDITABLE)
        if self.campaigns_of(list_id):
            raise Refused(errors.ListLinked)
        # Codes that came back since count, too.
        came_back = any(code.returned for code in known.those(AVAILABLE))
        if came_back or known.those(RESERVED, HELD, RETIRED, RESTOCKED):
            raise Refused(errors.ListDistributed)
        del self.lists[list_id]
        self.uploads = {key: upload for key, upload in self.uploads.items() if upload.list_id != list_id}
        self.events.append(("list.deleted", list_id))

    # --- campaigns ---

    def campaigns_link(
        self, list_id: str, campaign_id: str, *, repeat: RepeatPolicy, priority: int
    ) -> Answer:
        self.require(list_id)
        known = self.links.get((list_id, campaign_id))
        if known is None:
            self.require(list_id, *EDITABLE)
            self._links_made += 1
        if known is None or (known.repeat, known.priority) != (repeat, priority):
            age = self._links_made if known is None else known.age
            self.links[list_id, campaign_id] = KnownLink(list_id, campaign_id, repeat, priority, age)
            self.events.append(("campaign.linked", list_id))
        return {"repeat": repeat, "priority": priority}

    def campaigns_unlink(self, list_id: str, campaign_id: str) -> None:
        self.require(list_id)
        if self.links.pop((list_id, campaign_id), None) is None:
            raise Refused(errors.NotLinked)
        self.events.append(("campaign.unlinked", list_id))

    def campaigns_of(self, list_id: str) -> list[str]:
        """Return the campaigns of a list, in order."""
        return sorted(campaign for linked, campaign in self.links if linked == list_id)

    def lists_of(self, campaign_id: str) -> list[KnownLink]:
        """Return the links of a campaign in the order in which its lists give their codes."""
        links = [link for link in self.links.values() if link.campaign_id == campaign_id]
        return sorted(links, key=lambda link: (link.priority, link.age))

    def campaigns_set_limits(self, campaign_id: str, limits: Sequence[Limit]) -> list[Limit]:
        if list(self.limits.get(campaign_id, ())) != list(limits):
            self.limits[campaign_id] = limits
            self.events.append(("campaign.limits_set", None))
        return list(limits)

    def in_present_window(self, limit: Limit, instant: datetime) -> bool:
        """Tell whether a code of an instant counts now; periods here are days in UTC."""
        days: tuple[date, date] = (instant.date(), self.now.date())
        return limit.period is None or days[0] == days[1]

    # --- uploads ---

    def uploads_explain_duplicate(self, list_id: str, code: str) -> Answer | None:
        holder = self._holder(self.require(list_id), code)
        return None if holder is None else {"list_id": holder}

    def uploads_validate(self, list_id: str, file: bytes, *, force: bool, **_how: object) -> Answer:
        accepted, faults = self._judge(list_id, file, force)
        return {"acceptable": len(accepted), "errors": faults}

    def uploads_add(self, list_id: str, file: bytes, *, force: bool, **_how: object) -> Answer:
        accepted, faults = self._judge(list_id, file, force)
        known, upload = self.lists[list_id], KnownUpload(list_id, file, tuple(accepted))
        self.uploads[getattr(self.said, "id", "")] = upload
        self.events.append(("upload.completed" if accepted else "upload.failed", list_id))
        if accepted:
            for other in self.lists.values():
                for each in other.codes:
                    each.taken_over |= other.scope == known.scope and each.code in accepted
            known.codes += [KnownCode(code, list_id, upload) for code in accepted]
            self._announce(known)
        return {"accepted": len(accepted), "total": len(accepted) + faults.total(), "errors": faults}

    def uploads_withdraw(self, upload_id: str) -> Answer:
        upload = self.uploads.get(upload_id)
        if upload is None:
            raise Refused(errors.UnknownUpload)
        known = self.require(upload.list_id, *EDITABLE)
        left = [code for code in known.those(AVAILABLE) if code.upload is upload]
        for code in left:
            code.state = WITHDRAWN
        upload.is_withdrawn = True
        if left:
            upload.withdrawn += len(left)
            self.events.append(("upload.withdrawn", known.id))
            self._announce(known)
        return {"withdrawn": upload.withdrawn}

    def _holder(self, of: KnownList, code: str) -> str | None:
        """Return the list because of which a code is refused in a list."""
        found = {
            it.id
            for it in self.lists.values()
            if it.scope == of.scope and not it.archived
            for each in it.codes
            if each.code == code and each.holds_its_place
        }
        assert len(found) <= 1, "the model itself let a code in twice"
        return found.pop() if found else None

    def _judge(self, list_id: str, file: bytes, force: bool) -> tuple[list[str], Counter[RowFaultKind]]:
        """Return which codes of a file are accepted, and why others are not."""
        known = self.require(list_id, Status.ACTIVE, Status.PAUSED)
        before = [u for u in self.uploads.values() if u.accepted and (u.list_id, u.file) == (list_id, file)]
        if before and not before[-1].withdrawn and not force:
            raise Refused(errors.FileAlreadyUploaded)
        accepted: list[str] = []
        faults: Counter[RowFaultKind] = Counter()
        for code in file.decode().splitlines():
            holder = self._holder(known, code)
            if " " in code:
                faults[RowFaultKind.INVALID_CHARACTER] += 1
            elif holder == list_id:
                faults[RowFaultKind.DUPLICATE_IN_LIST] += 1
            elif holder is not None:
                faults[RowFaultKind.DUPLICATE_IN_OTHER_LIST] += 1
            elif code in accepted:
                faults[RowFaultKind.DUPLICATE_IN_FILE] += 1
            else:
                accepted.append(code)
        return accepted, faults

    # --- events ---

    def _shown(self, known: KnownList) -> Answer:
        return {"tag": known.tag, "version": known.version, "status": self.status(known)}

    def _changed(self, known: KnownList, event: str) -> Answer:
        known.version += 1
        self.events.append((event, known.id))
        return self._shown(known)

    def _announce(self, known: KnownList, *, falling: bool = False) -> None:
        """Announce the level of a list's stock once; if codes were taken, it can only fall."""
        left = len(known.those(AVAILABLE))
        low = known.low_stock_at is not None and left <= known.low_stock_at
        level = EXHAUSTED if left == 0 else LOW if low else ENOUGH
        if falling and level <= known.announced:
            return
        if known.announced < LOW <= level and known.low_stock_at is not None:
            self.events.append(("list.running_low", known.id))
        if known.announced < EXHAUSTED <= level:
            self.events.append(("list.exhausted", known.id))
        known.announced = level
