"""What a run tells of its epochs: a CSV file always, TensorBoard's files where it is installed."""

import csv
from pathlib import Path

from npecat_sim.io.storage import replacing
from npecat_train.checkpoint import LOG
from npecat_train.training.learner import FACTORS

COLUMNS = ("epoch", "images", "rate", "train", "validation", *FACTORS)
"""The last five: validation loss in all and by factor, nats an image."""

Row = dict[str, float]


def write_csv(folder: Path, rows: list[Row]) -> None:
    """Write the log anew, so that it tells of each epoch once however often a run is killed."""
    with replacing(folder / LOG) as partial, partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows({name: f"{row[name]:.6g}" for name in COLUMNS} for row in rows)


class TensorBoard:
    """Epochs as TensorBoard shows them, in ``tensorboard/``; nothing where it is not installed.

    What a killed run wrote of ``first_epoch`` and later ones is taken back.
    """

    def __init__(self, folder: Path, first_epoch: int):
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
