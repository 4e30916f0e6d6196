"""The learning rate over a run."""

import pytest

from npecat_train.training.schedule import (
    SCHEDULES,
    WARM_UP_STEPS,
    holds_batch_norm,
    learning_rate,
    peak_rate,
)


def rates(schedule: str, n_steps: int, peak: float = 1.0) -> list[float]:
    return [learning_rate(schedule, peak, step=step, n_steps=n_steps) for step in range(n_steps)]


def test_the_papers_rate_falls_tenfold_after_32_of_50_epochs():
    found = rates("paper", 500, peak_rate("paper", 16))
    assert found[:320] == [1e-3] * 320
    assert found[320:] == pytest.approx([1e-4] * 180)
    assert peak_rate("paper", 256) == 1e-3


def test_cosine_rises_then_falls_to_nothing():
    found = rates("cosine", 10_000)
    top = found.index(max(found))
    assert top == WARM_UP_STEPS and found[top] == 1.0
    assert found[0] == pytest.approx(1 / (WARM_UP_STEPS + 1))
    assert found[:top] == sorted(found[:top]) and found[top:] == sorted(found[top:], reverse=True)
    assert found[(top + 10_000) // 2] == pytest.approx(0.5, abs=1e-3)
    assert 0 < found[-1] < 1e-6


@pytest.mark.parametrize("n_steps", [1, 2, 9, 100])
def test_short_runs_reach_the_full_rate_early(n_steps):
    found = rates("cosine", n_steps)
    assert found.index(max(found)) <= 0.1 * n_steps + 1 and max(found) > 0.8


def test_rate_goes_with_the_root_of_the_batch():
    assert peak_rate("cosine", 64) == pytest.approx(2 * peak_rate("cosine", 16))


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_rate_depends_on_the_step_of_the_run_alone(schedule):
    assert (
        learning_rate(schedule, 2.0, step=30, n_steps=50)
        == 2 * learning_rate(schedule, 1.0, step=30, n_steps=50)
        > 0
    )


def test_batch_norm_holds_still_in_the_last_steps():
    assert [holds_batch_norm("cosine", step, n_steps=20) for step in range(20)] == [False] * 5 + [
        True
    ] * 15
    assert not any(holds_batch_norm("paper", step, n_steps=20) for step in range(20))
