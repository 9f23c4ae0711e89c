"""Files that the page works on after their form was answered."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from partner_vouchers import PartnerVouchers
from partner_vouchers.adapters.memory import MemoryStorage
from partner_vouchers.page import create_app
from partner_vouchers.usecases.redemptions import RedemptionsGroup
from tests.support.browser import PatientFormat
from tests.support.page import Person, Visitor, alerts

FILE = b"code,order_id\nSLOW-1,991\n"


@pytest.fixture
def patient() -> PatientFormat:
    return PatientFormat()


@pytest.fixture
def vouchers(patient: PatientFormat) -> PartnerVouchers:
    library = PartnerVouchers(MemoryStorage(), code_format=patient)
    for partner in ("Puma", "Nykaa"):
        library.partners.add(partner)
    return library


def wait(visitor: Visitor, partner: str) -> None:
    """Wait until a file is read."""
    while visitor.get("/reconcile/progress", params={"partner": partner}).json()["running"]:
        threading.Event().wait(0.01)


def test_a_file_is_read_while_its_sender_does_other_things(visitor: Visitor, patient: PatientFormat) -> None:
    begun = visitor.upload("/reconcile", FILE, "used.csv", partner="Puma")
    page = visitor.follow(begun)
    assert "Reconciliation in progress" in page
    assert "You can leave this page" in page
    assert visitor.get("/reconcile/progress?partner=Puma").json()["size"] == len(FILE)

    second = visitor.upload("/reconcile", b"code\nB\n", "second.csv", partner="Puma")
    assert second.status_code == 409
    assert "Another file of Puma is being reconciled" in alerts(second.text)[0]
    # Other partners do not wait.
    assert "unknown code" in visitor.follow(
        visitor.upload("/reconcile", b"code\nB\n", "other.csv", partner="Nykaa")
    )

    patient.gate.set()
    wait(visitor, "Puma")
    done = visitor.text("/reconcile")
    assert "Reconciliation in progress" not in done
    assert '<a href="/reconcile/1">Report on used.csv</a>' in done
    assert "second.csv" not in done


def test_a_failure_is_said_and_shows_nothing_of_the_inside(
    visitor: Visitor,
    patient: PatientFormat,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def upload(*_: Any, **__: Any) -> object:
        patient.gate.wait()
        raise ZeroDivisionError("SECRET-CODE in /srv/app")

    monkeypatch.setattr(RedemptionsGroup, "upload", upload)
    visitor.upload("/reconcile", FILE, "used.csv", partner="Puma")
    patient.gate.set()
    wait(visitor, "Puma")
    late = visitor.text("/reconcile")
    early = visitor.upload("/reconcile", FILE, "used.csv", partner="Puma")

    assert "<strong>used.csv</strong>: The page failed while it read this file." in late
    assert early.status_code == 500
    assert "Send the file again" in alerts(early.text)[0]
    assert "SECRET-CODE" not in late + early.text + caplog.text


def test_a_file_needs_a_partner(visitor: Visitor) -> None:
    assert "Choose the partner" in alerts(visitor.upload("/reconcile", FILE, "used.csv").text)[0]

    empty = Visitor(create_app(PartnerVouchers(MemoryStorage()), authorize=Person()))
    assert "There is no partner yet" in empty.text("/reconcile")
