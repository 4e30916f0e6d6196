"""How much memory is free."""

from pathlib import Path

import psutil
import torch

CONTAINER_LIMITS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)
"""Files of the limit and the use of a container's memory, in versions 2 and 1 of cgroups."""


def free_bytes(device: torch.device) -> int:
    """Bytes that are free on a GPU or, for the CPU, in RAM as a container sees it."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    free = psutil.virtual_memory().available
    for limit, used in CONTAINER_LIMITS:
        if Path(limit).exists() and (most := Path(limit).read_text().strip()) != "max":
            free = min(free, int(most) - int(Path(used).read_text()))
    return max(free, 0)
