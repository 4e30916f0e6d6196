"""Where a run keeps its images: the same images everywhere, and no more memory than allowed."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from npecat_sim.errors import NpecatError
from npecat_sim.store.reader import Store
from npecat_sim.wide.survey import Survey
from npecat_train.data import cache, loader
from npecat_train.data.batch import CONDITIONS, SIX_NUMBERS
from npecat_train.data.cache import CPU, Resident, Streamed, bytes_of, choose_home
from npecat_train.data.loader import batches
from tests.helpers.stores import write_store

GPU = torch.device("cuda")

PEAK_OF_STREAMING = """
import sys
from pathlib import Path
from npecat_sim.store.reader import Store
from npecat_train.data.cache import CPU, choose_home, open_images
from npecat_train.data import loader

loader.CHUNKS_PER_BUFFER = 2
for path in sys.argv[2:]:
    store = Store(Path(path))
    home = choose_home([store], CPU, cache=sys.argv[1], passes=2)
    for batch in loader.batches(open_images(store, CPU, home=home), 16, shuffle=(0, 0)):
        pass
    print(1024 * int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]))
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = write_store(tmp_path_factory.mktemp("data"), "train", 130, images_per_chunk=10)
    return Store(path)


@pytest.fixture(scope="module")
def wide_store(tmp_path_factory):
    return Store(
        write_store(
            tmp_path_factory.mktemp("data"),
            "train",
            45,
            "wide",
            images_per_chunk=5,
            survey=Survey(),
        )
    )


@pytest.mark.parametrize("kind", ["store", "wide_store"])
def test_kept_images_are_the_streamed_ones_in_the_same_order(kind, request, monkeypatch):
    store = request.getfixturevalue(kind)
    monkeypatch.setattr(loader, "CHUNKS_PER_BUFFER", 3)
    kept, streamed = Resident(store, CPU, home=CPU), Streamed(store, CPU)
    for epoch, first in ((0, 1), (1, 0), (2, 0)):
        pairs = zip(
            batches(kept, 16, shuffle=(0, epoch), first=first),
            batches(streamed, 16, shuffle=(0, epoch), first=first),
            strict=True,
        )
        for one, other in pairs:
            for name, tensor in one.tensors().items():
                same = torch.equal(tensor.nan_to_num(-1), getattr(other, name).nan_to_num(-1))
                assert same and tensor.dtype == getattr(other, name).dtype, name
            assert one.tensors().keys() == other.tensors().keys()
    assert {*CONDITIONS, *SIX_NUMBERS}.intersection(one.tensors()) == set(
        SIX_NUMBERS if kind == "store" else CONDITIONS
    )


def test_kept_images_are_read_once(store, monkeypatch):
    kept = Resident(store, CPU, home=CPU)
    for _ in batches(kept, 16):
        pass
    monkeypatch.setattr(Store, "array", None)
    assert sum(len(batch) for batch in batches(kept, 16, shuffle=(0, 0))) == 130


@pytest.mark.parametrize("kind", ["store", "wide_store"])
def test_size_of_a_store(kind, request):
    store = request.getfixturevalue(kind)
    (batch,) = batches(Streamed(store, CPU), 200)
    assert bytes_of(store) == sum(tensor.nbytes for tensor in batch.tensors().values())


@pytest.mark.parametrize(
    ("device", "asked", "free_gpu", "free_ram", "home"),
    [
        (CPU, "auto", 0, 2.1, CPU),
        (CPU, "auto", 0, 1.9, None),
        (CPU, "ram", 0, 2.1, CPU),
        (CPU, "none", 0, 9.0, None),
        (GPU, "auto", 2.1, 9.0, GPU),
        (GPU, "auto", 1.9, 2.1, CPU),
        (GPU, "auto", 1.9, 1.9, None),
        (GPU, "gpu", 2.1, 0.0, GPU),
        (GPU, "ram", 9.0, 2.1, CPU),
    ],
)
def test_stores_are_kept_where_half_of_what_is_free_holds_them(
    store, monkeypatch, device, asked, free_gpu, free_ram, home
):
    free = {"cuda": free_gpu, "cpu": free_ram}
    monkeypatch.setattr(cache, "free_bytes", lambda at: free[at.type] * bytes_of(store))
    assert choose_home([store], device, cache=asked, passes=2) == home
    if home == CPU:
        assert choose_home([store, store], CPU, cache="auto", passes=2) is None
        assert choose_home([store], CPU, cache="auto", passes=2, processes=2) is None


def test_what_is_read_once_is_not_kept(store):
    assert choose_home([store], CPU, cache="auto", passes=1) is None
    assert choose_home([store], CPU, cache="ram", passes=1) == CPU


def test_cache_that_cannot_be_is_refused(store, monkeypatch):
    monkeypatch.setattr(cache, "free_bytes", lambda device: bytes_of(store))
    with pytest.raises(
        NpecatError, match=r"cache is ram: .* needs 0.01 GB of memory, and 0.00 GB may"
    ):
        choose_home([store], CPU, cache="ram", passes=2)
    with pytest.raises(NpecatError, match="cache is gpu, and there is no GPU"):
        choose_home([store], CPU, cache="gpu", passes=2)


def test_memory_stays_flat_on_a_larger_store(tmp_path):
    """Seven times the images take no more memory, unless they are kept."""
    sizes = (320, 2240)
    stores = [write_store(tmp_path / str(n), "train", n) for n in sizes]
    larger_by = bytes_of(Store(stores[1])) - bytes_of(Store(stores[0]))

    def growth(kept: str) -> int:
        """Bytes by which the peak memory of a process rises from the small store to the large."""
        done = subprocess.run(
            [sys.executable, "-c", PEAK_OF_STREAMING, kept, *map(str, stores)],
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
        )
        small, large = map(int, done.stdout.split())
        return large - small

    assert growth("none") < 0.5 * larger_by
    assert growth("ram") > 0.7 * larger_by
