"""`AsyncPartnerVouchers`: the library for asynchronous hosts.

Nothing is written twice: each coroutine runs the method of the same name in a worker thread, or inside the host's
asynchronous transaction. Signature, types and docstring are those of the method.
"""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import timedelta
from threading import Lock
from types import TracebackType
from typing import Any, BinaryIO, Concatenate, Final, Generic, ParamSpec, Protocol, TypeVar

from partner_vouchers.domain.arguments import require_count
from partner_vouchers.domain.codes import CodeRules
from partner_vouchers.domain.duplicates import DuplicatePolicy
from partner_vouchers.host_connections import join_async
from partner_vouchers.observers import Observer
from partner_vouchers.ports import Clock, Storage
from partner_vouchers.usecases.audit import AuditGroup
from partner_vouchers.usecases.campaigns import CampaignsGroup
from partner_vouchers.usecases.codes import CodesGroup
from partner_vouchers.usecases.delivery.retention import KEEP_EVENTS
from partner_vouchers.usecases.events import EventsGroup
from partner_vouchers.usecases.lists import ListsGroup
from partner_vouchers.usecases.partners import PartnersGroup
from partner_vouchers.usecases.redemptions import RedemptionsGroup
from partner_vouchers.usecases.uploads import UploadsGroup
from partner_vouchers.usecases.wiring import EligibilityRule
from partner_vouchers.vouchers import PartnerVouchers

P = ParamSpec("P")
T = TypeVar("T")
Group = TypeVar("Group")
AnyGroup = TypeVar("AnyGroup", covariant=True)

MAX_WORKERS = 16
"""How many calls of one `AsyncPartnerVouchers` run at the same time by default; others wait."""

_CHUNK = 64 * 1024


class _Run(Protocol):
    """Runs a call of the library without blocking the event loop."""

    async def __call__(self, call: Callable[[PartnerVouchers], T]) -> T: ...


class _AsyncGroup(Generic[AnyGroup]):
    """A group of use cases as coroutines.

    Attributes:
        run: runs a call.
        group_of: returns the group of a library.
    """

    def __init__(self, run: _Run, group_of: Callable[[PartnerVouchers], AnyGroup]) -> None:
        self.run = run
        self.group_of = group_of

    async def _call(self, method: Callable[..., T], *args: object, **kwargs: object) -> T:
        """Call a method of the group."""
        # By its name: observers see the calls of a group through a class of their own.
        name = method.__name__
        return await self.run(lambda vouchers: getattr(self.group_of(vouchers), name)(*args, **kwargs))


def in_thread(
    method: Callable[Concatenate[Group, P], T],
) -> Callable[Concatenate[_AsyncGroup[Group], P], Coroutine[Any, Any, T]]:
    """Return a method as a coroutine function."""

    @functools.wraps(method)
    async def call(self: _AsyncGroup[Group], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._call(method, *args, **kwargs)

    return call  # type: ignore[return-value] # mypy loses the ParamSpec behind functools.wraps


def iterated(
    method: Callable[Concatenate[Group, P], Iterator[T]],
) -> Callable[Concatenate[_AsyncGroup[Group], P], AsyncIterator[T]]:
    """Return a method that returns an iterator as one that returns an asynchronous iterator."""

    @functools.wraps(method)
    async def iterate(self: _AsyncGroup[Group], *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        items = await self._call(method, *args, **kwargs)
        done = object()
        while (item := await self.run(lambda _: next(items, done))) is not done:
            yield item  # type: ignore[misc]

    return iterate  # type: ignore[return-value]


def streamed(
    method: Callable[Concatenate[Group, P], BinaryIO],
) -> Callable[Concatenate[_AsyncGroup[Group], P], AsyncIterator[bytes]]:
    """Return a method that returns a binary stream as one that returns an asynchronous iterator of its bytes."""

    @functools.wraps(method)
    async def read(self: _AsyncGroup[Group], *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[bytes]:
        stream = await self._call(method, *args, **kwargs)
        try:
            while chunk := await self.run(lambda _: stream.read(_CHUNK)):
                yield chunk
        finally:
            # Not here: where the reader was cancelled, closing waits for the piece that is being read.
            await self.run(lambda _: stream.close())

    return read  # type: ignore[return-value]


class AsyncPartners(_AsyncGroup[PartnersGroup]):
    """The partners; reached as `vouchers.partners`."""

    add: Final = in_thread(PartnersGroup.add)
    ensure: Final = in_thread(PartnersGroup.ensure)
    get: Final = in_thread(PartnersGroup.get)
    all: Final = in_thread(PartnersGroup.all)


class AsyncLists(_AsyncGroup[ListsGroup]):
    """The voucher lists; reached as `vouchers.lists`."""

    create: Final = in_thread(ListsGroup.create)
    ensure: Final = in_thread(ListsGroup.ensure)
    get: Final = in_thread(ListsGroup.get)
    find: Final = in_thread(ListsGroup.find)
    edit: Final = in_thread(ListsGroup.edit)
    pause: Final = in_thread(ListsGroup.pause)
    activate: Final = in_thread(ListsGroup.activate)
    archive: Final = in_thread(ListsGroup.archive)
    delete: Final = in_thread(ListsGroup.delete)
    stock: Final = in_thread(ListsGroup.stock)
    distribution: Final = in_thread(ListsGroup.distribution)


class AsyncUploads(_AsyncGroup[UploadsGroup]):
    """The uploads; reached as `vouchers.uploads`. A source is read in the worker thread."""

    add: Final = in_thread(UploadsGroup.add)
    validate: Final = in_thread(UploadsGroup.validate)
    get: Final = in_thread(UploadsGroup.get)
    find: Final = in_thread(UploadsGroup.find)
    errors: Final = in_thread(UploadsGroup.errors)
    original_file: Final = streamed(UploadsGroup.original_file)
    error_file: Final = streamed(UploadsGroup.error_file)
    recover: Final = in_thread(UploadsGroup.recover)
    withdraw: Final = in_thread(UploadsGroup.withdraw)
    explain_duplicate: Final = in_thread(UploadsGroup.explain_duplicate)


class AsyncCampaigns(_AsyncGroup[CampaignsGroup]):
    """The links between lists and campaigns; reached as `vouchers.campaigns`."""

    link: Final = in_thread(CampaignsGroup.link)
    unlink: Final = in_thread(CampaignsGroup.unlink)
    of_list: Final = in_thread(CampaignsGroup.of_list)
    lists_of: Final = in_thread(CampaignsGroup.lists_of)
    all: Final = in_thread(CampaignsGroup.all)
    set_limits: Final = in_thread(CampaignsGroup.set_limits)
    limits: Final = in_thread(CampaignsGroup.limits)
    refusals: Final = in_thread(CampaignsGroup.refusals)


class AsyncCodes(_AsyncGroup[CodesGroup]):
    """The codes and who has them; reached as `vouchers.codes`."""

    assign: Final = in_thread(CodesGroup.assign)
    assign_many: Final = in_thread(CodesGroup.assign_many)
    preview: Final = in_thread(CodesGroup.preview)
    reserve: Final = in_thread(CodesGroup.reserve)
    confirm: Final = in_thread(CodesGroup.confirm)
    release: Final = in_thread(CodesGroup.release)
    reservations: Final = in_thread(CodesGroup.reservations)
    of_user: Final = in_thread(CodesGroup.of_user)
    holders: Final = in_thread(CodesGroup.holders)
    assignments: Final = iterated(CodesGroup.assignments)
    unredeemed: Final = iterated(CodesGroup.unredeemed)
    reveal: Final = in_thread(CodesGroup.reveal)
    revoke: Final = in_thread(CodesGroup.revoke)
    forget_user: Final = in_thread(CodesGroup.forget_user)
    export: Final = streamed(CodesGroup.export)


class AsyncRedemptions(_AsyncGroup[RedemptionsGroup]):
    """The codes that were used; reached as `vouchers.redemptions`. A source is read in the worker thread."""

    add: Final = in_thread(RedemptionsGroup.add)
    revert: Final = in_thread(RedemptionsGroup.revert)
    upload: Final = in_thread(RedemptionsGroup.upload)
    report: Final = in_thread(RedemptionsGroup.report)
    error_file: Final = streamed(RedemptionsGroup.error_file)


class AsyncEvents(_AsyncGroup[EventsGroup]):
    """The delivery of events to sinks; reached as `vouchers.events`."""

    emit: Final = in_thread(EventsGroup.emit)
    deliver: Final = in_thread(EventsGroup.deliver)
    relay: Final = in_thread(EventsGroup.relay)
    backlog: Final = in_thread(EventsGroup.backlog)
    sinks: Final = in_thread(EventsGroup.sinks)
    dead_letters: Final = in_thread(EventsGroup.dead_letters)
    retry_dead_letters: Final = in_thread(EventsGroup.retry_dead_letters)
    forget_sink: Final = in_thread(EventsGroup.forget_sink)
    announce_expired: Final = in_thread(EventsGroup.announce_expired)


class AsyncAudit(_AsyncGroup[AuditGroup]):
    """The log of changes; reached as `vouchers.audit`."""

    entries: Final = in_thread(AuditGroup.entries)


class _AsyncGroups:
    """The groups of a library, whatever runs their calls."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self.partners: AsyncPartners = AsyncPartners(run, lambda vouchers: vouchers.partners)
        self.lists: AsyncLists = AsyncLists(run, lambda vouchers: vouchers.lists)
        self.uploads: AsyncUploads = AsyncUploads(run, lambda vouchers: vouchers.uploads)
        self.campaigns: AsyncCampaigns = AsyncCampaigns(run, lambda vouchers: vouchers.campaigns)
        self.codes: AsyncCodes = AsyncCodes(run, lambda vouchers: vouchers.codes)
        self.redemptions: AsyncRedemptions = AsyncRedemptions(run, lambda vouchers: vouchers.redemptions)
        self.events: AsyncEvents = AsyncEvents(run, lambda vouchers: vouchers.events)
        self.audit: AsyncAudit = AsyncAudit(run, lambda vouchers: vouchers.audit)

    async def check(self) -> None:
        """Open the storage and check that it can be used; see `PartnerVouchers.check`."""
        await self._run(PartnerVouchers.check)


class AsyncPartnerVouchers(_AsyncGroups):
    """The library for asynchronous hosts: the groups of `PartnerVouchers` as coroutines.

    Calls run in worker threads, at most `max_workers` at the same time, and never on the event loop. When a call is
    cancelled before it has begun, nothing is done; afterwards it goes on to its end and may commit, so repeat it with
    the same idempotency key. An object may be used from several event loops, and after a fork.

    Example:
        >>> import asyncio
        >>> from partner_vouchers.adapters.memory import MemoryStorage
        >>> async def main() -> str:
        ...     async with AsyncPartnerVouchers(MemoryStorage()) as vouchers:
        ...         return (await vouchers.partners.add("Puma")).name
        >>> asyncio.run(main())
        'Puma'
    """

    def __init__(
        self,
        storage: Storage,
        *,
        duplicates: DuplicatePolicy | None = None,
        code_format: CodeRules | None = None,
        clock: Clock | None = None,
        eligibility: Mapping[str, EligibilityRule] | None = None,
        keep_events: timedelta | None = KEEP_EVENTS,
        observers: Sequence[Observer] = (),
        max_workers: int = MAX_WORKERS,
    ) -> None:
        """Compose the library.

        Args:
            storage: where everything is kept.
            duplicates: as for `PartnerVouchers`.
            code_format: as for `PartnerVouchers`.
            clock: as for `PartnerVouchers`.
            eligibility: as for `PartnerVouchers`; the rules run in the worker threads.
            keep_events: as for `PartnerVouchers`.
            observers: as for `PartnerVouchers`; they are called on the worker threads.
            max_workers: how many calls may run at the same time, 1 or more.

        Raises:
            InvalidInput: `max_workers` is no whole number of 1 or more, or see `PartnerVouchers`.
        """
        require_count("max_workers", max_workers)
        vouchers = PartnerVouchers(
            storage,
            duplicates=duplicates,
            code_format=code_format,
            clock=clock,
            eligibility=eligibility,
            keep_events=keep_events,
            observers=observers,
        )
        self._vouchers = vouchers
        self._threads = _Threads(vouchers, max_workers)
        super().__init__(self._threads.run)

    def using(self, session: object) -> _AsyncGroups:
        """Return the same groups within an open transaction of the host.

        Args:
            session: an `AsyncSession`, `AsyncConnection` or `async_scoped_session` of SQLAlchemy, to the database
                of the storage. One that has begun no transaction begins one, as if it executed a statement.

        Raises:
            HostTransactionError: it is something else. A session that is closed, must be rolled back, belongs to
                another database, or is used by another task makes each call raise it.
        """
        run_sync = join_async(session)

        async def run(call: Callable[[PartnerVouchers], T]) -> T:
            # The driver is awaited for each statement.
            result: T = await run_sync()(lambda joined: call(self._vouchers.using(joined)))
            return result

        return _AsyncGroups(run)

    async def aclose(self) -> None:
        """Wait for the calls that run, end the worker threads, and store refusals. The storage stays open, and a later
        call starts new threads.
        """
        await asyncio.to_thread(self._threads.close)
        await asyncio.to_thread(self._vouchers.close)

    async def __aenter__(self) -> AsyncPartnerVouchers:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


class _Threads:
    """Runs calls in worker threads. The threads are kept, and with them the connections that belong to a thread."""

    def __init__(self, vouchers: PartnerVouchers, max_workers: int) -> None:
        self._vouchers = vouchers
        self._max_workers = max_workers
        self._begin()

    def _begin(self) -> None:
        self._lock = Lock()
        self._pool = self._new_pool()
        self._process = os.getpid()

    def _new_pool(self) -> ThreadPoolExecutor:
        # Its threads start when they are needed.
        return ThreadPoolExecutor(self._max_workers, thread_name_prefix="partner_vouchers")

    async def run(self, call: Callable[[PartnerVouchers], T]) -> T:
        context = copy_context()
        # A forked child has none of the threads, and perhaps a lock that nobody will release.
        if self._process != os.getpid():
            self._begin()
        with self._lock:
            future = self._pool.submit(context.run, call, self._vouchers)
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        if self._process == os.getpid():
            with self._lock:
                ended, self._pool = self._pool, self._new_pool()
            ended.shutdown(wait=True)
