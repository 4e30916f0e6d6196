"""Free memory of the machine and its GPUs."""

from pathlib import Path

import psutil
import torch

CONTAINER_LIMITS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)
"""Files with the limit and the use of a container's memory, in versions 2 and 1 of cgroups."""


def free_bytes(device: torch.device) -> int:
    """Return the free memory of a GPU, or of RAM as a container limits it, bytes."""
    if device.type == "cuda":
        free_on_gpu: int = torch.cuda.mem_get_info(device)[0]
        return free_on_gpu
    free: int = psutil.virtual_memory().available
    for limit, used in CONTAINER_LIMITS:
        if Path(limit).exists() and (maximum := Path(limit).read_text().strip()) != "max":
            free = min(free, int(maximum) - int(Path(used).read_text()))
    return max(free, 0)
