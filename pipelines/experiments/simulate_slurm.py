"""Simulate on a SLURM cluster: an example to copy and adapt.

Needs ``pip install dask-jobqueue``, which npecat itself does not. Run it on a login node, in a
folder that all nodes see, inside tmux or a job of its own, since it must run until all is done:

    python -m npecat.experiments.simulate_slurm --prior many --n 210000 --out /shared/data/many

The options are those of ``npecat simulate``. A job that SLURM kills is replaced, and another job
makes its images. If this process itself dies, the same command continues the run.
"""

import sys

from dask_jobqueue import SLURMCluster

from npecat.cli import main as run_command_line

JOBS = 8
"""Maximum number of jobs at a time; the run starts as soon as the first job does."""


def main() -> None:
    """Start the jobs and run ``npecat simulate`` on them."""
    with SLURMCluster(
        cores=16,  # of a job
        processes=16,  # one thread each
        memory="32GB",  # of a job: 2 GB a process
        walltime="01:00:00",
        worker_extra_args=["--lifetime", "55m", "--lifetime-stagger", "4m"],  # leave before SLURM
        # queue="...", account="...", interface="ib0", as your site asks for
    ) as cluster:
        cluster.adapt(minimum_jobs=1, maximum_jobs=JOBS)
        sys.argv[1:1] = ["simulate", "--scheduler", cluster.scheduler_address]
        run_command_line()


if __name__ == "__main__":
    main()
