"""The parts of the code repositories that SQLite and PostgreSQL share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date

from partner_vouchers.adapters.sql.columns import NO_DAY, from_day, to_day, to_list_number
from partner_vouchers.adapters.sql.rows import LEVELS
from partner_vouchers.adapters.sql.session import Repository, Row, first
from partner_vouchers.domain.duplicates import Holder
from partner_vouchers.domain.lifecycle import State
from partner_vouchers.domain.stock import Counts
from partner_vouchers.errors import UnknownList
from partner_vouchers.ports import Taken, TakenCode

COUNTERS = 6
"""How many columns the counters of a list are, with the notified stock level."""


class SqlCodes(Repository):
    """The published codes. How they are taken and withdrawn differs."""

    def counts(self, list_id: str) -> Counts:
        row = first(self._db.fetch("counters_of_list", to_list_number(list_id)))
        if row is None:
            raise UnknownList(list_id=list_id)
        return Counts(*row[: COUNTERS - 1])

    def given(self, list_id: str, since: date | None, until: date | None) -> dict[date, int]:
        number = to_list_number(list_id)
        first_day = max(from_day(since or date.min), NO_DAY + 1)
        bounds = number, first_day, from_day(until or date.max)
        rows = self._db.fetch("codes_a_day", *bounds, *bounds)
        return {to_day(day): int(codes) for day, codes in rows if codes}

    def holder(self, scope: str, code: str, counts: Callable[[State], bool]) -> Holder | None:
        row = first(self._db.fetch("holder_of_code", scope, code))
        return Holder(str(row[0])) if row is not None and counts(State(row[1])) else None


def taken(
    codes: Sequence[Row], counters: Sequence[int], given: int, reserved: int = 0, *, run_out: bool = False
) -> Taken:
    """Return what was taken: ids and codes, and the counters of the list before that."""
    uploaded, distributed, before, withdrawn, retired, level = counters
    counts = Counts(uploaded, distributed + given, before + reserved, withdrawn, retired)
    return Taken([TakenCode(str(row[0]), row[1]) for row in codes], counts, LEVELS[level], run_out)
