"""The learning rate of every step, and when batch norm holds still."""

import math

SCHEDULES = ("cosine", "paper")

PAPER_RATE = 1e-3
DECAY_AT, DECAY_BY = 0.64, 0.1
"""The paper's rate falls by a factor 0.1 after 32 of its 50 epochs (Patel et al. 2025)."""

COSINE_RATE, COSINE_BATCH_SIZE = 5e-3, 16
"""Five times the paper's rate, for a network a tenth as large. Runs of 32,000 images end at a
validation loss of 5.5 nats an image at 3e-3, 5.3 at 5e-3 and 5.2 at 8e-3, in batches of 16."""

WARM_UP_STEPS, WARM_UP_SHARE = 200, 0.1
"""The cosine begins with a linear rise over so many steps, at most this share of all: Adam has not
yet seen how large the gradients are."""

HELD_SHARE = 0.75
"""Of a run's last steps. Statistics of a batch are noise to an image. Of runs of 32,000 images the
validation loss is 6.1 nats an image with the last 0.15 of the steps held, 5.9 with 0.3, 5.6 with
0.5 and 5.5 with 0.75; with 0.9 batch norm stops before the features have settled."""


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
