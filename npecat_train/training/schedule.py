"""The learning rate of every step, and the steps in which batch norm holds still."""

import math

SCHEDULES = ("cosine", "paper")
"""Names of the schedules: a cosine after a warm-up, and the paper's two constant rates."""

PAPER_RATE = 1e-3
"""The paper's rate (Patel et al. 2025)."""

DECAY_AT, DECAY_BY = 0.64, 0.1
"""The paper's rate falls by a factor 0.1 after 32 of its 50 epochs (Patel et al. 2025)."""

COSINE_RATE, COSINE_BATCH_SIZE = 5e-3, 16
"""Highest rate of the cosine at a batch size; see docs/log.md, learning rate."""

WARM_UP_STEPS, WARM_UP_SHARE = 200, 0.1
"""Steps of the linear rise before the cosine, and their maximum share of all steps. Before it Adam
has not yet seen how large the gradients are."""

HELD_SHARE = 0.75
"""Share of a run's steps, the last ones, with batch norm held; see docs/log.md, held batch norm."""


def peak_rate(schedule: str, batch_size: int) -> float:
    """Return the highest learning rate of a run.

    The cosine's goes with the root of the batch size, as Adam's noise does (Malladi et al. 2022,
    arXiv:2205.10287); the paper's is one number.

    Parameters
    ----------
    schedule : str
        One of SCHEDULES.
    batch_size : int
        Images of a step.
    """
    if schedule == "paper":
        return PAPER_RATE
    return COSINE_RATE * math.sqrt(batch_size / COSINE_BATCH_SIZE)


def learning_rate(schedule: str, peak: float, *, step: int, n_steps: int) -> float:
    """Return the learning rate of a step.

    Parameters
    ----------
    schedule : str
        One of SCHEDULES.
    peak : float
        The highest rate of the run.
    step : int
        Number of the step, from 0.
    n_steps : int
        Steps of the whole run.
    """
    if schedule == "paper":
        return peak * (DECAY_BY if step >= DECAY_AT * n_steps else 1.0)
    rise = min(WARM_UP_STEPS, WARM_UP_SHARE * n_steps)
    if step < rise:
        return peak * (step + 1) / (rise + 1)
    return peak * 0.5 * (1 + math.cos(math.pi * (step - rise) / (n_steps - rise)))


def holds_batch_norm(schedule: str, step: int, *, n_steps: int) -> bool:
    """Return whether batch norm uses, and keeps, its running statistics in a step of a run.

    Parameters
    ----------
    schedule : str
        One of SCHEDULES.
    step : int
        Number of the step, from 0.
    n_steps : int
        Steps of the whole run.
    """
    return schedule != "paper" and step >= (1 - HELD_SHARE) * n_steps
