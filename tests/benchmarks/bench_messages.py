"""How fast messages are rendered, beside the bare engine; what hostile templates take."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from liquid import Environment

from partner_vouchers.messages import MessageTemplate, Recipient, Rendered
from tests.benchmarks.figures import record
from tests.benchmarks.measure import in_turn, seconds

ROOT = Path(__file__).parents[2]
SOURCE = "Hi {{ Profile.name }}, your code is {{ Event.voucherCode }}"
FILTERED = "Hi {{ Profile.name | default: 'there' }}, {{ Event.partner | upcase }}: {{ Event.voucherCode }}"
EVENT = {
    "partner": "Puma",
    "voucherCode": "PM500FF-2024",
    "listTag": "winter_sale_500",
    "campaignId": "CMP123456",
}
PROFILE = {"name": "Asha"}
MESSAGES = 20_000
ROUNDS = 9
GROUP = "Messages"


def beside_the_bare_engine(what: str, source: str, render: Callable[[], object]) -> None:
    bare = Environment().from_string(source)
    found = in_turn(
        ROUNDS,
        lambda: seconds(lambda: [bare.render(Event=EVENT, Profile=PROFILE) for _ in range(MESSAGES)]),
        lambda: seconds(render),
    )
    rate = MESSAGES / found.seconds
    record(GROUP, f"{what}: {rate:,.0f} a second", found.ratio, beside="the bare engine", goal=2)


@pytest.mark.parametrize(
    "what, source", [("two variables", SOURCE), ("three variables and two filters", FILTERED)]
)
def test_a_message_beside_the_bare_engine(what: str, source: str) -> None:
    ours = MessageTemplate(source)
    expected = Environment().from_string(source).render(Event=EVENT, Profile=PROFILE)
    assert ours.render(event=EVENT, profile=PROFILE) == expected
    beside_the_bare_engine(
        f"render, {what}",
        source,
        lambda: [ours.render(event=EVENT, profile=PROFILE) for _ in range(MESSAGES)],
    )


def test_many_users_beside_the_bare_engine() -> None:
    ours = MessageTemplate(SOURCE)
    recipients = [Recipient(user_id=f"user-{n}", event=EVENT, profile=PROFILE) for n in range(MESSAGES)]
    assert all(isinstance(outcome, Rendered) for outcome in ours.render_many(recipients))
    beside_the_bare_engine("render_many, two variables", SOURCE, lambda: list(ours.render_many(recipients)))


def test_hostile_templates_end_within_a_second_and_50_mb() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.hostile", "20", "50"],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    runs = json.loads(done.stdout)
    slowest = max(runs, key=lambda run: run[1])
    largest = max(runs, key=lambda run: run[2])
    what = f"the slowest of {len(runs)} hostile templates"
    record(GROUP, what, slowest[1], beside=slowest[0], goal=1, unit="s")
    record(GROUP, "the largest", largest[2], beside=largest[0], goal=50, unit="MB")
