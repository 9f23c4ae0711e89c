from __future__ import annotations

from itertools import combinations

import pytest

from partner_vouchers.domain.revocation import RESTOCK_TABLE, Obstacle, require_restock
from partner_vouchers.errors import CodeMayBeKnown, RestockNotAllowed

NEVER = [Obstacle.REDEEMED, Obstacle.LIST_ARCHIVED, Obstacle.UPLOAD_WITHDRAWN]
WITH_FORCE = [Obstacle.EVENT_TAKEN, Obstacle.EVENT_IN_FLIGHT, Obstacle.EVENT_REMOVED, Obstacle.NO_SINK]


def test_a_code_that_nobody_can_know_returns() -> None:
    require_restock("7", frozenset(), force=False)


@pytest.mark.parametrize("obstacle", NEVER)
@pytest.mark.parametrize("force", [False, True])
def test_what_forbids_it_for_ever(obstacle: Obstacle, force: bool) -> None:
    with pytest.raises(RestockNotAllowed) as refused:
        require_restock("7", frozenset({obstacle}), force=force)
    assert (refused.value.assignment_id, refused.value.reason) == ("7", obstacle.value)


@pytest.mark.parametrize("obstacle", WITH_FORCE)
def test_what_needs_force(obstacle: Obstacle) -> None:
    require_restock("7", frozenset({obstacle}), force=True)
    with pytest.raises(CodeMayBeKnown) as refused:
        require_restock("7", frozenset({obstacle}), force=False)
    assert refused.value.reason == obstacle.value


def test_what_forbids_it_for_ever_is_said_first() -> None:
    for never in NEVER:
        for others in combinations(WITH_FORCE, 2):
            with pytest.raises(RestockNotAllowed):
                require_restock("7", frozenset({never, *others}), force=False)


def test_the_table_has_each_obstacle_once() -> None:
    assert sorted(rule.obstacle for rule in RESTOCK_TABLE) == sorted(Obstacle)
