"""Round trained weights to 16 bits: ``python -m npecat.experiments.export_weights RUN -o WEIGHTS``.

Convolutions, which are nearly all of the weights, are rounded to float16; batch norms and the last
convolution keep float32. On sources of an SDSS frame this moves positions by at most 0.003 of their
standard deviations, log fluxes by 0.002 of theirs and logits by 0.003 (see docs/log.md, weights in
16 bits). Every command loads the result as it loads a checkpoint.
"""

from pathlib import Path

import click
import torch
from torch import Tensor

from npecat_sim.errors import NpecatError
from npecat_train import checkpoint
from npecat_train.checkpoint import BEST
from npecat_train.model import TileModel
from npecat_train.weights import DEFAULT_WEIGHTS

from ..cli import main
from ..commands.options import FILE, FOLDER

MAX_SIZE = 6e6
"""Bytes: the maximum size of the weights in the package."""


def rounded(name: str, tensor: Tensor) -> Tensor:
    """A weight as it is stored: float16 in a convolution, except the last one."""
    is_inner_convolution = tensor.ndim == 4 and not name.startswith("head.")
    return tensor.to(torch.float16) if is_inner_convolution else tensor


@click.command(context_settings={"show_default": True})
@click.argument("run", type=FOLDER)
@click.option("-o", "--output", type=FILE, default=DEFAULT_WEIGHTS, help="Weights to write.")
def export_weights(run: Path, output: Path) -> None:
    """Write the best weights of the folder RUN in 16 bits."""
    tensors, settings, state = checkpoint.load(run / BEST)
    small = {name: rounded(name, tensor) for name, tensor in tensors.items()}
    size = sum(tensor.nbytes for tensor in small.values())
    if size > MAX_SIZE:
        raise NpecatError(
            f"{run / BEST} would take {size / 1e6:.1f} MB, more than {MAX_SIZE / 1e6:g}; "
            "train a smaller network",
            parameters=("network",),
        )
    checkpoint.save(output, small, settings=settings, state=state)
    TileModel.load(output)
    click.echo(f"{output}: {output.stat().st_size / 1e6:.2f} MB, {settings.variant}")


if __name__ == "__main__":
    main(export_weights)
