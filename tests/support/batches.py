"""How many rows of a partner's file are reconciled at once."""

from __future__ import annotations

import pytest

from partner_vouchers.usecases import reconciling


def set_sizes(monkeypatch: pytest.MonkeyPatch, rows: int, span: int) -> None:
    """Let a transaction take so many rows, and look up so many at once."""
    for name in ("_SMALLEST", "_FIRST", "_LARGEST"):
        monkeypatch.setattr(reconciling, name, rows)
    monkeypatch.setattr(reconciling, "_SPAN", span)
