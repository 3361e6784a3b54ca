"""The plan of a soak: every fault from the seed, every process hit, never too much at once."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.faults import plan

SEEDS = range(20)


@pytest.mark.parametrize("number", [40, 100, 500])
def test_the_same_seed_gives_the_same_faults_and_another_one_others(number: int):
    assert plan.draw(7, number) == plan.draw(7, number)
    assert plan.draw(7, number) != plan.draw(8, number)


@pytest.mark.parametrize("seed", SEEDS)
def test_forty_faults_have_every_kind_that_needs_no_root_and_kill_every_kind_of_process(seed: int):
    kinds = [kind for kind in plan.WEIGHTS if kind != plan.DISK]
    faults = plan.draw(seed, 40, kinds)

    assert {fault.kind for fault in faults} == {*kinds, *plan.KILLS}
    killed = {fault.target for fault in faults if fault.kind == plan.KILL}
    for kind in (plan.WEBS, plan.WORKERS, plan.BEATS, plan.DATABASES):
        assert killed & set(kind)
    assert {"kafka", "redis", "coupon-claims-worker"} <= killed


@pytest.mark.parametrize("seed", SEEDS)
def test_five_hundred_faults_kill_more_than_two_hundred_and_fill_the_disk(seed: int):
    faults = plan.draw(seed, 500)
    kinds = Counter(fault.kind for fault in faults)

    assert len(faults) == 500
    assert sum(kinds[kind] for kind in plan.KILLS) > 200
    assert kinds[plan.DISK] and set(kinds) == {*plan.WEIGHTS, *plan.KILLS}
    assert {fault.target for fault in faults if fault.kind == plan.KILL} == {
        *(plan.WEBS + plan.WORKERS + plan.BEATS + plan.DATABASES),
        *("kafka", "redis"),
    }


@pytest.mark.parametrize("seed", SEEDS)
def test_nobody_is_hit_twice_at_once_and_few_are_hit_together(seed: int):
    faults = plan.draw(seed, 500)

    for index, fault in enumerate(faults):
        together = [other for other in faults[:index] if other.until > fault.at]
        assert fault.target not in {other.target for other in together}
        assert len(together) < plan.MOST
        assert sum(other.target in plan.HEAVY for other in [*together, fault]) <= plan.MOST_HEAVY


def test_a_longer_run_has_no_more_than_two_restarts_of_a_database_in_a_minute():
    faults = plan.draw(1, 500)
    restarts = [fault for fault in faults if fault.target in plan.DATABASES and fault.kind in plan.KILLS]

    assert len(restarts) / (faults[-1].at / 60) <= 2
