"""Whatever is wrong with an image, reading it ends in one line that names the file."""

import bz2
import gzip
import io
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from npecat_sim.errors import NpecatError
from npecat_sim.surveys.image import SurveyImage
from npecat_sim.surveys.open import open_image
from tests.helpers.survey_files import (
    small_frame_data,
    write_frame,
    write_mask,
    write_photofield,
    write_psfield,
)

BLOCK = 2880
"""Bytes; FITS files are made of such blocks."""

CARD = 80

PACK: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": lambda content: gzip.compress(content, mtime=0),
    ".bz2": bz2.compress,
}


NAMES = {
    "frame": "frame-r-000094-1-0012.fits",
    "photofield": "photoField-000094-1.fits",
    "psfield": "psField-000094-1-0012.fit",
    "mask": "fpM-000094-r1-0012.fit",
}


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> dict[str, bytes]:
    """Content of a small frame and of all that may lie beside it."""
    folder = tmp_path_factory.mktemp("good")
    write_frame(folder, small_frame_data())
    write_photofield(folder)
    write_psfield(folder)
    write_mask(folder, {1: [[(0, 0, 2), (1, 1, 1)]], 10: [[(5, 2, 2)]]})
    return {kind: (folder / name).read_bytes() for kind, name in NAMES.items()}


@pytest.fixture
def files(good, tmp_path) -> dict[str, Path]:
    """The same files, to be spoiled."""
    paths = {kind: tmp_path / name for kind, name in NAMES.items()}
    for kind, path in paths.items():
        path.write_bytes(good[kind])
    return paths


def read(files: dict[str, Path], kind: str) -> SurveyImage:
    """The frame, read with the file of that kind."""
    psf = files["psfield" if kind == "psfield" else "photofield"]
    return open_image(files["frame"], psf=str(psf), mask=files["mask"])


def refused(files: dict[str, Path], kind: str) -> str:
    with pytest.raises(NpecatError) as refusal:
        read(files, kind)
    message = str(refusal.value)
    assert message.startswith(f"{files[kind]}: ")
    assert "\n" not in message
    return message


def refused_or_whole(files: dict[str, Path], kind: str) -> None:
    """A change that does no harm may pass, but then the image is one that may be cataloged."""
    try:
        read(files, kind).check()
    except NpecatError as refusal:
        message = str(refusal)
        assert message.startswith(f"{files[kind]}: ")
        assert "\n" not in message


@pytest.mark.parametrize("suffix", PACK)
@pytest.mark.parametrize("kind", NAMES)
def test_files_cut_at_any_block_are_refused(files, good, kind, suffix):
    if suffix:
        files[kind] = files[kind].with_name(files[kind].name + suffix)
    packed = PACK[suffix](good[kind])
    files[kind].write_bytes(packed)
    read(files, kind)
    step = max(len(packed) // 8, 1) if suffix else BLOCK // 2
    for kept in [*range(0, len(packed), step), len(packed) - 1]:
        files[kind].write_bytes(packed[:kept])
        refused(files, kind)


RULING = (b"SIMPLE", b"XTENSION", b"BITPIX", b"NAXIS", b"PCOUNT", b"GCOUNT", b"TFIELDS")
RULING += (b"TFORM", b"TTYPE", b"TDIM", b"THEAP", b"END     ")
"""How cards begin that say what stands where."""

VALUES = ("0", "-1", "1", "7", "1000000000", "9" * 18, "1E30", "T", "'text'", "'999999999E'", "")


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("kind", NAMES)
def test_any_value_of_a_card_is_survived(files, good, kind, value):
    content = good[kind]
    cards = [at for at in range(0, len(content), CARD) if content[at:].startswith(RULING)]
    chosen = np.random.default_rng(VALUES.index(value)).choice(cards, 8, replace=False)
    for at in chosen:
        card = (content[at : at + 8] + b"= " + value.rjust(20).encode()).ljust(CARD)
        files[kind].write_bytes(content[:at] + card + content[at + CARD :])
        refused_or_whole(files, kind)


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("kind", NAMES)
def test_damaged_bytes_are_survived(files, good, kind, seed):
    """Half of the cases are damaged in headers alone."""
    generator = np.random.default_rng(seed)
    damaged = np.frombuffer(good[kind], np.uint8).copy()
    is_text = np.isin(np.repeat(damaged.reshape(-1, CARD)[:, 0], CARD), list(b"ABCDEFGHNPSTXY"))
    places = np.flatnonzero(is_text) if seed % 2 else np.arange(len(damaged))
    places = generator.choice(places, generator.choice([1, 10, 100, 1000]))
    damaged[places] = generator.integers(0, 256, size=len(places))
    files[kind].write_bytes(damaged.tobytes())
    refused_or_whole(files, kind)


def set_card(kind: str, name: str, old: int, new: int):
    """A spoiler of the first card of that name and value."""
    before, after = [f"{name:8}= {value:20}".encode() for value in (old, new)]

    def spoil(good: dict[str, bytes]) -> bytes:
        assert before in good[kind]
        return good[kind].replace(before, after, 1)

    return kind, spoil


def edited(kind: str, edit: Callable[[fits.HDUList], object]):
    """A spoiler that edits the HDUs."""

    def spoil(good: dict[str, bytes]) -> bytes:
        with fits.open(io.BytesIO(good[kind])) as hdus:
            edit(hdus)
            content = io.BytesIO()
            hdus.writeto(content)
        return content.getvalue()

    return kind, spoil


def put(index: int, column: str, value: float):
    """An edit of all bands, or all pixels, of a column."""
    return lambda hdus: hdus[index].data[column].__setitem__(slice(None), value)


def pixels(value: float):
    return lambda hdus: hdus[0].data.__setitem__(slice(None), value)


def card(name: str, value: object):
    return lambda hdus: hdus[0].header.__setitem__(name, value)


def shorten(hdus: fits.HDUList) -> None:
    hdus[1].data = hdus[1].data[:-1]


def crop(hdus: fits.HDUList) -> None:
    hdus[0].data = hdus[0].data[:10, :10]


@pytest.mark.parametrize(
    ("spoiler", "named"),
    [
        (set_card("frame", "NAXIS1", 48, 10**9), "HDU 0 should end at byte 160,000,"),
        (set_card("frame", "NAXIS2", 40, 0), "it holds no image with two axes"),
        (set_card("frame", "NAXIS2", 40, 4000), "HDU 0 should end at byte"),
        (set_card("frame", "NAXIS", 2, 10**9), "HDU 0: NAXIS is 1000000000"),
        (set_card("frame", "BITPIX", -32, -8), "HDU 0: BITPIX is '-8'"),
        (set_card("frame", "TFIELDS", 3, 10**9), "HDU 2: TFIELDS is 1000000000"),
        (edited("frame", lambda hdus: hdus.pop(3)), "only a frame of SDSS, which has 4 HDUs"),
        (
            edited("frame", lambda hdus: [hdus.pop(), hdus.pop()]),
            "only a frame of SDSS, which has 4 HDUs",
        ),
        (edited("frame", lambda hdus: hdus.pop(1)), "only a frame of SDSS, which has 4 HDUs"),
        (edited("frame", put(2, "ALLSKY", np.nan)), "grid[0, 0] is nan"),
        (edited("frame", put(2, "ALLSKY", np.inf)), "grid[0, 0] is inf"),
        (edited("frame", put(2, "ALLSKY", 0)), "grid[0, 0] is 0"),
        (edited("frame", put(2, "XINTERP", np.nan)), "XINTERP is not linear"),
        (edited("frame", shorten), "calibration (47,)"),
        (edited("frame", lambda hdus: hdus[1].data.__setitem__(5, 0)), "calibration[5] is 0"),
        (edited("frame", pixels(0)), "every pixel is 0"),
        (edited("frame", pixels(np.nan)), "every pixel is without data"),
        (edited("frame", crop), "YINTERP holds"),
        (edited("frame", card("BUNIT", "adu")), "no frame of SDSS, which has 4 HDUs"),
        (edited("frame", card("CD1_2", 3e-4)), "pixels are not square"),
        (edited("frame", card("CTYPE1", "RA---NON")), "WCS cannot be read"),
        (edited("photofield", put(1, "PSF_SIGMA1", -1)), "sigma1 is -1"),
        (edited("photofield", put(1, "PSF_BETA", 2)), "beta is 2"),
        (edited("photofield", put(1, "GAIN", 0)), "the gain of the r band is 0"),
        (edited("photofield", put(1, "FIELD", 12)), "6 rows are of field 94/1/12"),
        (edited("psfield", put(6, "psf_sigma2", -3)), "sigma2 is -3"),
        (edited("psfield", put(6, "gain", np.nan)), "the gain of the r band is nan"),
        (edited("psfield", card("RUN", 95)), "it is of run, camcol, field (95, 1, 12)"),
        (edited("mask", put(1, "nspan", 3)), "HDU 1, row 0: 12 bytes for 3 spans"),
        (edited("mask", card("MASKCOLS", 47)), "the mask has (40, 47) rows and columns"),
        (edited("mask", lambda hdus: hdus.pop()), "HDU 10 is missing"),
    ],
)
def test_each_fault_is_named(files, good, spoiler, named):
    kind, spoil = spoiler
    files[kind].write_bytes(spoil(good))
    assert named in refused(files, kind)


def test_spans_beyond_the_frame_are_refused(files):
    for span in [(40, 0, 1), (0, 40, 48), (3, 5, 4)]:
        files["mask"].unlink()
        write_mask(files["mask"].parent, {2: [[span]]})
        assert "HDU 2: row" in refused(files, "mask")


@pytest.mark.parametrize(
    ("regions", "what"),
    [
        ([[]] * 20_001, "20001 regions, a mask has at most 20000"),
        ([[(5, 5, 5)] * 241], "241 spans, a mask has at most 240"),
    ],
)
def test_more_spans_than_a_mask_can_have_are_refused(files, regions, what):
    files["mask"].unlink()
    write_mask(files["mask"].parent, {8: regions})
    assert f"HDU 8 tells of {what}" in refused(files, "mask")


def test_a_mask_whose_rows_share_one_array_is_refused_before_it_is_expanded(files):
    """A file of 40 kB that holds 6 MB of spans."""
    n_rows, n_spans = 200, 5_000
    heap = bytes(6 * n_spans)
    rows = np.tile(np.array([n_spans, len(heap), 0], ">i4"), n_rows).tobytes() + heap
    header = fits.BinTableHDU.from_columns(
        [fits.Column("nspan", "J"), fits.Column("s", f"1PB({len(heap)})")], nrows=n_rows
    ).header
    header["PCOUNT"] = len(heap)
    start = fits.PrimaryHDU(header=fits.getheader(files["mask"])).header.tostring().encode()
    table = header.tostring().encode() + rows + bytes(-len(rows) % BLOCK)
    files["mask"].write_bytes(start + table)
    tracemalloc.start()
    refused(files, "mask")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10e6


def test_a_frame_of_10_by_10_pixels_is_refused(files):
    data = small_frame_data()
    crops = dict.fromkeys(("calibration", "XINTERP", "YINTERP"), np.s_[:10])
    crops["image"] = np.s_[:10, :10]
    for name, part in crops.items():
        data[name] = data[name][part]
    write_frame(files["frame"].parent, data)
    files["mask"].unlink()
    write_mask(files["mask"].parent, {}, (10, 10))
    assert "the image has 10 x 10 pixels" in refused(files, "frame")


def hostile_files(folder: Path) -> dict[str, Path]:
    """Small or sparse files that claim or unpack to a great deal."""
    zeros = bytes(10_000_000)
    header = fits.PrimaryHDU(np.zeros((1, 1), np.float32)).header
    cards = header.tostring(endcard=False, padding=False).encode()
    content = {
        "bomb.fits.gz": gzip.compress(zeros, mtime=0) * 300,
        "bomb.fits.bz2": bz2.compress(zeros) * 300,
        "endless header.fits": cards.ljust(190_000_000),
        "many HDUs.fits": fits.PrimaryHDU().header.tostring().encode()
        + fits.ImageHDU().header.tostring().encode() * 60_000,
    }
    packed = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(np.ones((40, 40), np.int16))]).writeto(
        packed
    )
    content["packed image.fits"] = packed.getvalue().replace(
        b"ZNAXIS1 =                   40", b"ZNAXIS1 =           1000000000"
    )
    header["NAXIS1"] = header["NAXIS2"] = 7000
    content["zeros.fits"] = header.tostring().encode()
    header["NAXIS1"] = 70_000
    content["huge.fits"] = header.tostring().encode()
    paths = {}
    for name, start in content.items():
        paths[name] = folder / name
        paths[name].write_bytes(start)
    os.truncate(paths["zeros.fits"], -(-(BLOCK + 4 * 7000**2) // BLOCK) * BLOCK)
    os.truncate(paths["huge.fits"], BLOCK + 4 * 70_000 * 7000)
    return paths


READ_ALL = """
import sys
from pathlib import Path
from npecat_sim.errors import NpecatError
from npecat_sim.surveys.open import open_image
for path in sys.argv[1:]:
    for options in ({}, {"zeropoint": 25, "gain": 2, "sky": 100, "fwhm": 1.3}):
        try:
            open_image(Path(path), **options)
        except NpecatError as error:
            print(error)
status = Path("/proc/self/status").read_text()  # getrusage would tell of the parent too
print(status.split("VmHWM:")[1].split()[0])
"""


def test_hostile_files_take_less_than_a_gigabyte(tmp_path):
    paths = hostile_files(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", READ_ALL, *map(str, paths.values())],
        capture_output=True,
        text=True,
        check=True,
    )
    *refusals, kilobytes = done.stdout.splitlines()
    named = [str(path) for path in paths.values() for _ in range(2)]
    assert len(refusals) == len(named)
    for refusal, path in zip(refusals, named, strict=True):
        assert refusal.startswith(f"{path}: ")
    assert int(kilobytes) < 1e6
