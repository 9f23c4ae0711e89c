"""What `partner_vouchers` should do, said again in the plainest way: dicts, and a walk through all codes.

The model is asked first. It either says what the library must answer, or raises `Refused` with the error
that the library must raise. Nothing here is shared with the library but names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from partner_vouchers import PartnerVouchersError, RepeatPolicy, RowFaultKind, Status
from partner_vouchers.errors import (
    ActionNotAllowed,
    CampaignNotLinked,
    CodesExhausted,
    ExpiryNotInFuture,
    FileAlreadyUploaded,
    IdempotencyConflict,
    ListDistributed,
    ListLinked,
    NoActiveList,
    NotLinked,
    PartnerExists,
    StaleVersion,
    TagTaken,
    UnknownList,
    UnknownPartner,
    UnknownUpload,
)

AVAILABLE, DISTRIBUTED, WITHDRAWN = "available", "distributed", "withdrawn"
ENOUGH, LOW, EXHAUSTED = 0, 1, 2

ScopeRule = Callable[[str, str], object]
"""Says from partner and tag where a code must be unique."""


class Refused(Exception):
    """The library must refuse with exactly this error."""

    def __init__(self, error: type[PartnerVouchersError]) -> None:
        super().__init__(error.__name__)
        self.error = error


@dataclass
class KnownCode:
    """A code of a list."""

    code: str
    upload_id: str
    state: str = AVAILABLE


@dataclass
class KnownList:
    """A list with its codes in upload order."""

    id: str
    partner: str
    tag: str
    scope: object
    expires_at: datetime
    low_stock_at: int | None
    name: str
    version: int = 1
    paused: bool = False
    archived: bool = False
    announced: int = ENOUGH
    codes: list[KnownCode] = field(default_factory=list)

    def those(self, state: str) -> list[str]:
        """Return the codes in a state."""
        return [known.code for known in self.codes if known.state == state]

    @property
    def held(self) -> set[str]:
        """The codes that nobody else in the scope may have."""
        return {known.code for known in self.codes if known.state != WITHDRAWN}


@dataclass
class KnownLink:
    """A link, with the number of the moment at which it was made."""

    list_id: str
    campaign_id: str
    repeat: RepeatPolicy
    priority: int
    age: int


@dataclass(frozen=True)
class Given:
    """A code that a user has. Within a list a code is given once, so this names an assignment."""

    list_id: str
    code: str
    user_id: str
    campaign_id: str | None


Answer = tuple[Given, bool]
"""What a user gets, and whether it is a replay."""


@dataclass(frozen=True)
class Verdict:
    """What an upload of some codes comes to."""

    accepted: tuple[str, ...]
    errors: dict[RowFaultKind, int]


@dataclass
class KnownUpload:
    """An upload that ended."""

    list_id: str
    file: bytes
    completed: bool
    withdrawn: int = 0


class Model:
    """The whole state, and each operation on it.

    Attributes:
        told: names and lists of the events that became due, until somebody takes them.
    """

    def __init__(self, scope_rule: ScopeRule, now: datetime) -> None:
        self.scope_rule = scope_rule
        self.now = now
        self.partners: set[str] = set()
        self.lists: dict[str, KnownList] = {}
        self.links: dict[tuple[str, str], KnownLink] = {}
        self.given: list[Given] = []
        self.keys: dict[str, tuple[object, list[Given], list[str]]] = {}
        self.uploads: dict[str, KnownUpload] = {}
        self.told: list[tuple[str, str | None]] = []
        self._links_made = 0

    # --- partners and lists ---

    def add_partner(self, name: str) -> None:
        if name in self.partners:
            raise Refused(PartnerExists)
        self.partners.add(name)
        self.told.append(("partner.added", None))

    def require_creatable(self, partner: str, tag: str) -> None:
        if partner not in self.partners:
            raise Refused(UnknownPartner)
        if any((it.partner, it.tag) == (partner, tag) and not it.archived for it in self.lists.values()):
            raise Refused(TagTaken)

    def create(
        self, list_id: str, partner: str, tag: str, name: str, expires_at: datetime, low: int | None
    ) -> None:
        assert list_id not in self.lists
        scope = self.scope_rule(partner, tag)
        self.lists[list_id] = KnownList(list_id, partner, tag, scope, expires_at, low, name)
        self.told.append(("list.created", list_id))

    def status(self, known: KnownList) -> Status:
        if known.archived:
            return Status.ARCHIVED
        if self.now > known.expires_at:
            return Status.EXPIRED
        return Status.PAUSED if known.paused else Status.ACTIVE

    def require(self, list_id: str, *statuses: Status) -> KnownList:
        """Return a list that must be in one of these statuses; any will do where none is named."""
        known = self.lists.get(list_id)
        if known is None:
            raise Refused(UnknownList)
        if statuses and self.status(known) not in statuses:
            raise Refused(ActionNotAllowed)
        return known

    def pause(self, list_id: str) -> None:
        known = self.require(list_id, Status.ACTIVE)
        known.paused = True
        self._changed(known, "list.paused")

    def activate(self, list_id: str) -> None:
        known = self.require(list_id, Status.PAUSED)
        known.paused = False
        self._changed(known, "list.activated")

    def archive(self, list_id: str) -> list[str]:
        known = self.require(list_id, Status.ACTIVE, Status.PAUSED, Status.EXPIRED)
        known.archived = True
        self._changed(known, "list.archived")
        return self.campaigns_of(list_id)

    def edit(self, list_id: str, version: int | None, **changes: object) -> None:
        known = self.require(list_id)
        if version is not None and version != known.version:
            raise Refused(StaleVersion)
        self.require(list_id, Status.ACTIVE, Status.PAUSED, Status.EXPIRED)
        expires_at = changes.get("expires_at")
        if isinstance(expires_at, datetime) and expires_at <= self.now:
            raise Refused(ExpiryNotInFuture)
        if all(getattr(known, name) == value for name, value in changes.items()):
            return
        threshold = known.low_stock_at
        for name, value in changes.items():
            setattr(known, name, value)
        self._changed(known, "list.edited")
        if known.low_stock_at != threshold and known.codes:
            self._announce(known)

    def delete(self, list_id: str) -> None:
        known = self.require(list_id, Status.ACTIVE, Status.PAUSED, Status.EXPIRED)
        if self.campaigns_of(list_id):
            raise Refused(ListLinked)
        if known.those(DISTRIBUTED):
            raise Refused(ListDistributed)
        del self.lists[list_id]
        self.uploads = {key: upload for key, upload in self.uploads.items() if upload.list_id != list_id}
        self.told.append(("list.deleted", list_id))

    # --- campaigns ---

    def link(self, list_id: str, campaign_id: str, repeat: RepeatPolicy, priority: int) -> None:
        self.require(list_id)
        known = self.links.get((list_id, campaign_id))
        if known is None:
            self.require(list_id, Status.ACTIVE, Status.PAUSED, Status.EXPIRED)
            self._links_made += 1
        elif (known.repeat, known.priority) == (repeat, priority):
            return
        age = self._links_made if known is None else known.age
        self.links[list_id, campaign_id] = KnownLink(list_id, campaign_id, repeat, priority, age)
        self.told.append(("campaign.linked", list_id))

    def unlink(self, list_id: str, campaign_id: str) -> None:
        self.require(list_id)
        if self.links.pop((list_id, campaign_id), None) is None:
            raise Refused(NotLinked)
        self.told.append(("campaign.unlinked", list_id))

    def campaigns_of(self, list_id: str) -> list[str]:
        return sorted(campaign for linked, campaign in self.links if linked == list_id)

    def lists_of(self, campaign_id: str) -> list[KnownLink]:
        links = [link for link in self.links.values() if link.campaign_id == campaign_id]
        return sorted(links, key=lambda link: (link.priority, link.age))

    # --- uploads ---

    def holder(self, list_id: str, code: str) -> str | None:
        """Return the list because of which a code is refused in a list."""
        scope = self.lists[list_id].scope
        found = [
            it.id for it in self.lists.values() if it.scope == scope and not it.archived and code in it.held
        ]
        assert len(found) <= 1, "the model itself let a code in twice"
        return found[0] if found else None

    def judge(self, list_id: str, file: bytes, codes: Sequence[str], *, force: bool) -> Verdict:
        """Return what an upload, or a validation, of a file with these codes comes to."""
        self.require(list_id, Status.ACTIVE, Status.PAUSED)
        before = [u for u in self.uploads.values() if u.completed and (u.list_id, u.file) == (list_id, file)]
        if before and not before[-1].withdrawn and not force:
            raise Refused(FileAlreadyUploaded)
        accepted: list[str] = []
        errors: Counter[RowFaultKind] = Counter()
        for code in codes:
            holder = self.holder(list_id, code)
            if " " in code:
                errors[RowFaultKind.INVALID_CHARACTER] += 1
            elif holder == list_id:
                errors[RowFaultKind.DUPLICATE_IN_LIST] += 1
            elif holder is not None:
                errors[RowFaultKind.DUPLICATE_IN_OTHER_LIST] += 1
            elif code in accepted:
                errors[RowFaultKind.DUPLICATE_IN_FILE] += 1
            else:
                accepted.append(code)
        return Verdict(tuple(accepted), dict(errors))

    def upload(self, upload_id: str, list_id: str, file: bytes, verdict: Verdict) -> None:
        completed = bool(verdict.accepted)
        self.uploads[upload_id] = KnownUpload(list_id, file, completed)
        self.told.append(("upload.completed" if completed else "upload.failed", list_id))
        if completed:
            known = self.lists[list_id]
            known.codes += [KnownCode(code, upload_id) for code in verdict.accepted]
            self._announce(known)

    def withdraw(self, upload_id: str) -> int:
        """Return how many codes of the upload are withdrawn by now."""
        upload = self.uploads.get(upload_id)
        if upload is None:
            raise Refused(UnknownUpload)
        known = self.require(upload.list_id, Status.ACTIVE, Status.PAUSED, Status.EXPIRED)
        left = [code for code in known.codes if code.upload_id == upload_id and code.state == AVAILABLE]
        for code in left:
            code.state = WITHDRAWN
        if left:
            upload.withdrawn += len(left)
            self.told.append(("upload.withdrawn", known.id))
            self._announce(known)
        return upload.withdrawn

    # --- assignment ---

    def assign(self, user_id: str, campaign_id: str | None, list_id: str | None, key: str | None) -> Answer:
        asked = ("one", user_id, campaign_id, list_id)
        known = self._replayed(key, asked)
        if known is not None:
            return known[0][0], True
        lists = self._lists_for(campaign_id, list_id)
        given = self._kept(user_id, campaign_id, list_id)
        replayed = given is not None
        if given is None:
            given = self._give(user_id, campaign_id, lists)
        if given is None:
            raise Refused(self._why_not(lists))
        self._remember(key, asked, [given], [])
        return given, replayed

    def assign_many(
        self,
        users: Sequence[str],
        campaign_id: str | None,
        list_id: str | None,
        key: str | None,
        partial: bool,
    ) -> tuple[list[Answer], list[str]]:
        asked = ("many", tuple(users), campaign_id, list_id, partial)
        known = self._replayed(key, asked)
        if known is not None:
            return [(given, True) for given in known[0]], known[1]
        lists = self._lists_for(campaign_id, list_id)
        before = (len(self.given), len(self.told), {known.id: known.announced for known in lists})
        answers: dict[int, Answer] = {}
        for index, user in enumerate(users):
            kept = self._kept(user, campaign_id, list_id)
            given = kept or self._give(user, campaign_id, lists)
            if given is not None:
                answers[index] = (given, kept is not None)
        unserved = [user for index, user in enumerate(users) if index not in answers]
        if unserved and not partial:
            error = self._why_not(lists)
            if len(self.given) > before[0]:
                self._take_back(*before)
            raise Refused(error)
        ordered = [answers[index] for index in sorted(answers)]
        self._remember(key, asked, [given for given, _ in ordered], unserved)
        return ordered, unserved

    def _replayed(self, key: str | None, asked: object) -> tuple[list[Given], list[str]] | None:
        if key is None or key not in self.keys:
            return None
        first, given, unserved = self.keys[key]
        if first != asked:
            raise Refused(IdempotencyConflict)
        return given, unserved

    def _remember(self, key: str | None, asked: object, given: list[Given], unserved: list[str]) -> None:
        if key is not None:
            self.keys[key] = (asked, given, unserved)

    def _lists_for(self, campaign_id: str | None, list_id: str | None) -> list[KnownList]:
        if list_id is not None:
            return [self.require(list_id)]
        linked = [self.lists[link.list_id] for link in self.lists_of(campaign_id or "")]
        if not linked:
            raise Refused(CampaignNotLinked)
        return linked

    def _kept(self, user_id: str, campaign_id: str | None, list_id: str | None) -> Given | None:
        """Return the code that a user keeps who asks again."""
        mine = [
            given
            for given in self.given
            if (given.user_id, given.campaign_id) == (user_id, campaign_id)
            and (list_id is None or given.list_id == list_id)
        ]
        if not mine:
            return None
        held = mine[-1]
        if campaign_id is None:
            return held
        link = self.links.get((held.list_id, campaign_id)) or self.lists_of(campaign_id)[0]
        valid = self.status(self.lists[held.list_id]) in (Status.ACTIVE, Status.PAUSED)
        keeps = {
            RepeatPolicy.SAME_CODE: True,
            RepeatPolicy.SAME_WHILE_VALID: valid,
            RepeatPolicy.NEW_CODE: False,
        }
        return held if keeps[link.repeat] else None

    def _give(self, user_id: str, campaign_id: str | None, lists: Sequence[KnownList]) -> Given | None:
        for known in lists:
            if self.status(known) is not Status.ACTIVE:
                continue
            left = [code for code in known.codes if code.state == AVAILABLE]
            if left:
                left[0].state = DISTRIBUTED
                given = Given(known.id, left[0].code, user_id, campaign_id)
                self.given.append(given)
                self.told.append(("CT Partner Voucher Rewarded", known.id))
                self._announce(known)
                return given
            # That a list has run dry is told, once, also when a code was asked of it in vain.
            self._announce(known)
        return None

    def _take_back(self, given: int, told: int, announced: dict[str, int]) -> None:
        for each in self.given[given:]:
            for code in self.lists[each.list_id].codes:
                if code.code == each.code and code.state == DISTRIBUTED:
                    code.state = AVAILABLE
        del self.given[given:]
        del self.told[told:]
        for list_id, level in announced.items():
            self.lists[list_id].announced = level

    def _why_not(self, lists: Sequence[KnownList]) -> type[PartnerVouchersError]:
        if any(self.status(known) is Status.ACTIVE for known in lists):
            return CodesExhausted
        return NoActiveList

    # --- what is told ---

    def _changed(self, known: KnownList, event: str) -> None:
        known.version += 1
        self.told.append((event, known.id))

    def _announce(self, known: KnownList) -> None:
        left = len(known.those(AVAILABLE))
        if left == 0:
            self._announce_level(known, EXHAUSTED)
        elif known.low_stock_at is not None and left <= known.low_stock_at:
            self._announce_level(known, LOW)
        else:
            self._announce_level(known, ENOUGH)

    def _announce_level(self, known: KnownList, level: int) -> None:
        if known.announced < LOW <= level and known.low_stock_at is not None:
            self.told.append(("list.running_low", known.id))
        if known.announced < EXHAUSTED <= level:
            self.told.append(("list.exhausted", known.id))
        known.announced = level
