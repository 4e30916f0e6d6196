"""A training of a few steps that tells what it did: run by test_distributed.py, under torchrun too.

Arguments: a folder of stores, one to write to, and of how many steps on a run is compiled.
"""

import json
import sys
from pathlib import Path

from torch._dynamo.utils import counters

from npecat_sim.store.reader import Store, store_path
from npecat_train import model as forward
from npecat_train.network.tile_network import NetworkSize
from npecat_train.training import defaults, learner
from npecat_train.training import loop as trainer
from npecat_train.training.distributed import joined
from npecat_train.training.learner import Learner

SMALL = NetworkSize((4,), (), 8, 4, (1,), (1,))


def main(data: Path, out: Path, least_compiled_steps: int) -> None:
    """Train for two epochs in float32; every process writes what it saw of each step."""
    forward.has_bfloat16 = lambda device: False
    learner.MIN_COMPILED_STEPS = least_compiled_steps
    steps, whole_step = [], Learner.step

    def told(learner, batch, rate, *, hold_norm):
        losses = whole_step(learner, batch, rate, hold_norm=hold_norm)
        step = {"images": batch.images[:, 0, 0].tolist(), "losses": losses.tolist()}
        steps.append(step | {"compiled": counters["frames"]["ok"] > 0})
        return losses

    Learner.step = told  # type: ignore[method-assign]
    defaults.NETWORKS["default"] = SMALL
    stores = [Store(store_path(data / "one", split)) for split in ("train", "validation")]
    with joined() as (team, device):
        settings = defaults.run_settings("psf_aware", stores[0], epochs=2, batch_size=16)
        trainer.train(
            settings,
            stores[0],
            validation_store=stores[1],
            folder=out / "run",
            device=device,
            team=team,
        )
        (out / f"steps{team.rank}.json").write_text(json.dumps(steps))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
