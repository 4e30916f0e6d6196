"""The learning rate of every step, and when batch norm holds still."""

import math

SCHEDULES = ("cosine", "paper")

PAPER_RATE = 1e-3
DECAY_AT, DECAY_BY = 0.64, 0.1
"""The paper's rate falls by a factor 0.1 after 32 of its 50 epochs (Patel et al. 2025)."""

COSINE_RATE, COSINE_BATCH_SIZE = 3e-3, 16
"""Three times the paper's rate, for a network a tenth as large. Twice as much in batches of 16 is
behind it after half of 32,000 images, and no better in batches of 32 after all of them."""

WARM_UP_STEPS, WARM_UP_SHARE = 200, 0.1
"""The cosine begins with a linear rise over so many steps, at most this share of all: Adam has not
yet seen how large the gradients are."""

HELD_SHARE = 0.15
"""Of a run's last steps. Statistics of a batch are noise to an image, which a network that sees
them moving can only answer with wider posteriors, of bright sources above all."""


def peak_rate(schedule: str, batch_size: int) -> float:
    """The highest rate of a run.

    The cosine's goes with the root of the batch size, as Adam's noise does (Malladi et al. 2022,
    arXiv:2205.10287); the paper's is one number.
    """
    if schedule == "paper":
        return PAPER_RATE
    return COSINE_RATE * math.sqrt(batch_size / COSINE_BATCH_SIZE)


def learning_rate(schedule: str, peak: float, step: int, n_steps: int) -> float:
    """The rate of step number ``step``, from 0, of ``n_steps`` that a run has in all."""
    if schedule == "paper":
        return peak * (DECAY_BY if step >= DECAY_AT * n_steps else 1.0)
    rise = min(WARM_UP_STEPS, WARM_UP_SHARE * n_steps)
    if step < rise:
        return peak * (step + 1) / (rise + 1)
    return peak * 0.5 * (1 + math.cos(math.pi * (step - rise) / (n_steps - rise)))


def holds_batch_norm(schedule: str, step: int, n_steps: int) -> bool:
    """Whether batch norm takes its running statistics for what they are, as in inference."""
    return schedule != "paper" and step >= (1 - HELD_SHARE) * n_steps
