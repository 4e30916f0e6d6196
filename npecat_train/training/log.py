"""The log of a run's epochs: a CSV file, and TensorBoard's files where it is installed."""

import csv
from pathlib import Path

from npecat_sim.io.storage import replacing
from npecat_train.checkpoint import LOG
from npecat_train.posterior.factors import FACTORS

COLUMNS = ("epoch", "images", "rate", "train", "validation", *FACTORS)
"""Columns of the log. The last five are validation losses, total and by factor, nats an image."""

Row = dict[str, float]
"""The values of an epoch by column."""


def write_csv(folder: Path, rows: list[Row]) -> None:
    """Write the whole log, so that it holds each epoch once however often a run is killed."""
    with replacing(folder / LOG) as partial, partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows({name: f"{row[name]:.6g}" for name in COLUMNS} for row in rows)


class TensorBoard:
    """Files of the epochs for TensorBoard, in ``tensorboard/``; nothing if it is not installed.

    Parameters
    ----------
    folder : Path
        Of the run.
    first_epoch : int
        The next epoch, from 1; what a killed run wrote of this and later epochs is purged.
    """

    def __init__(self, folder: Path, first_epoch: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            self._writer = None
        else:
            self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=first_epoch)

    def write(self, row: Row) -> None:
        """Add one epoch."""
        if self._writer is not None:
            for name in COLUMNS[2:]:
                self._writer.add_scalar(name, row[name], int(row["epoch"]))
            self._writer.flush()
