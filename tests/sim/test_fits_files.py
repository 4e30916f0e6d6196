"""FITS files as others write them are read; what they may claim without having it is limited."""

import io
import os
import time
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from npecat_sim.errors import NpecatError
from npecat_sim.io.fits import data_at, image_at, image_hdus, open_fits

BLOCK, CARD = 2880, 80

PIXELS = np.arange(64 * 48, dtype=np.int16).reshape(64, 48)


def written(path: Path, *hdus: fits.PrimaryHDU | fits.ImageHDU) -> Path:
    fits.HDUList(list(hdus)).writeto(path, overwrite=True)
    return path


def with_card(content: bytes, text: str) -> bytes:
    """The content with a further card before the first END, which has room in its block."""
    at = content.index(b"END".ljust(CARD))
    return content[:at] + text.ljust(CARD).encode() + b"END".ljust(CARD) + content[at + 2 * CARD :]


def refusal(path: Path, which: int | str = 0) -> str:
    begin = time.monotonic()
    with pytest.raises(NpecatError) as refused, open_fits(path, "mend it") as hdus:
        image_at(hdus, which)
    assert time.monotonic() - begin < 30  # a hang, on a busy machine
    message = str(refused.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    return message


def test_a_long_keyword_that_ends_in_a_structural_word_is_none(tmp_path):
    path = written(tmp_path / "a.fits", fits.PrimaryHDU(PIXELS))
    content = path.read_bytes()
    path.write_bytes(with_card(content, "HIERARCH ESO DET FRAM NAXIS1 = 1060"))
    with open_fits(path, "mend it") as hdus:
        np.testing.assert_array_equal(image_at(hdus, 0)[0], PIXELS)
    path.write_bytes(with_card(content, "HIERARCH NAXIS1 = 1060"))  # astropy takes it as NAXIS1
    assert "NAXIS1 comes twice" in refusal(path)


@pytest.mark.parametrize(
    "after",
    [bytes(BLOCK), bytes(7), b"x" * 3000, fits.PrimaryHDU(PIXELS).header.tostring().encode()],
)
def test_bytes_after_the_last_hdu_are_left_out_with_a_warning(tmp_path, caplog, after):
    path = written(tmp_path / "a.fits", fits.PrimaryHDU(), fits.ImageHDU(PIXELS))
    path.write_bytes(path.read_bytes() + after)
    with open_fits(path, "mend it") as hdus:
        assert len(hdus) == 2
        np.testing.assert_array_equal(image_at(hdus, 1)[0], PIXELS)
    assert "the file goes on after HDU 1" in caplog.text


def test_images_are_listed_and_found_by_number_or_name(tmp_path):
    table = fits.BinTableHDU.from_columns([fits.Column("a", "J", array=[1])], name="TABLE")
    path = written(
        tmp_path / "many.fits",
        fits.PrimaryHDU(),
        fits.ImageHDU(PIXELS[None, None], name="SCI"),
        fits.CompImageHDU(PIXELS + 1, name="wht"),
        fits.ImageHDU(np.ones((3, 4, 5)), name="CUBE"),
        table,
        fits.ImageHDU(PIXELS + 2, name="DQ"),
        fits.ImageHDU(PIXELS + 3, name="DQ"),
    )
    with open_fits(path, "mend it") as hdus:
        assert image_hdus(hdus) == [(1, "SCI"), (2, "WHT"), (5, "DQ"), (6, "DQ")]
        for which, offset in ((1, 0), ("sci", 0), ("2", 1), ("WHT", 1), (5, 2), (6, 3)):
            pixels, header = image_at(hdus, which)
            np.testing.assert_array_equal(pixels, PIXELS + offset)
            assert header["NAXIS1"] == 48
    told = "its images are HDU 1 (SCI), 2 (WHT), 5 (DQ), 6 (DQ)"
    assert f"more than one image is HDU DQ; {told}" in refusal(path, "DQ")
    for which in (0, 3, 4, 99, -1, "CUBE", ""):
        assert f"no image with two axes is HDU {which}; {told}" in refusal(path, which)
    empty = pytest.raises(NpecatError, match="HDU 0 holds no pixels; its images are")
    with empty, open_fits(path, "mend it") as hdus:
        data_at(hdus, 0, kind=fits.PrimaryHDU)


def sparse(path: Path, height: int, width: int) -> Path:
    """A plain image of bytes that takes no room on the disk; its second pixel is 7."""
    header = fits.PrimaryHDU(np.zeros((1, 1), np.uint8)).header
    header["NAXIS1"], header["NAXIS2"] = width, height
    path.write_bytes(header.tostring().encode() + bytes([0, 7]))
    try:
        os.truncate(path, BLOCK + -(-height * width // BLOCK) * BLOCK)
    except OSError as error:
        pytest.skip(f"no sparse files here: {error}")
    return path


def test_the_size_of_a_plain_image_is_limited_by_memory_alone(tmp_path):
    path = sparse(tmp_path / "large.fits", 8_000, 9_000)
    with open_fits(path, "mend it") as hdus:
        pixels, _ = image_at(hdus, 0)
        assert pixels.shape == (8_000, 9_000) and pixels[0, 1] == 7
        with pytest.raises(NpecatError, match="HDU 0 has 72,000,000 pixels, more than"):
            data_at(hdus, 0, kind=fits.PrimaryHDU)  # in a file whose layout has small images
    path = sparse(tmp_path / "huge.fits", 2_000_000, 1_000_000)
    assert "need 16000.0 GB of memory" in refusal(path)


def arrays(n_rows: int, pair: tuple[int, int], heap: int, letter: str = "P") -> bytes:
    """A table whose rows all hold the same array of the heap: its length and place."""
    column = fits.Column("s", f"1{letter}B()")
    header = fits.BinTableHDU.from_columns([column], nrows=n_rows).header
    header["PCOUNT"] = heap
    rows = np.tile(np.array(pair, ">i4" if letter == "P" else ">i8"), n_rows).tobytes()
    content = rows + bytes(heap)
    start = fits.PrimaryHDU().header.tostring() + header.tostring()
    return start.encode() + content + bytes(-len(content) % BLOCK)


def test_arrays_that_share_bytes_are_limited_and_none_leaves_the_heap(tmp_path):
    path = tmp_path / "arrays.fits"
    for letter in "PQ":
        path.write_bytes(arrays(5, (90, 10), 100, letter))
        with open_fits(path, "mend it") as hdus:
            assert [len(row) for row in data_at(hdus, 1, kind=fits.BinTableHDU)["s"]] == [90] * 5
        for pair in ((91, 10), (-1, 0), (1, -1), (2**31 - 1, 0)):
            path.write_bytes(arrays(5, pair, 100, letter))
            assert "HDU 1, column 1, row 0: an array beyond the heap" in refusal(path)
        path.write_bytes(arrays(40_000, (1_000_000, 0), 1_000_000, letter))
        assert "its arrays take 40,000 MB, though the file has 1 MB of them" in refusal(path)


def hostile() -> dict[str, tuple[bytes, str]]:
    """Small files that claim a great deal, and what is said of each."""
    plain = fits.PrimaryHDU(PIXELS).header.tostring().encode() + bytes(3 * BLOCK)
    packed = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(PIXELS)]).writeto(packed)
    long = [f"{card!s:80}" for card in fits.PrimaryHDU().header.cards]
    long += ["LONG    = 'a&'".ljust(CARD)] + ["CONTINUE  'b&'".ljust(CARD)] * 30_000
    long = "".join([*long, "END".ljust(CARD)])
    header = fits.PrimaryHDU(PIXELS).header
    header["NAXIS1"], header["NAXIS2"] = 0, 10**18
    many = fits.ImageHDU().header.tostring(padding=False, endcard=False)
    many = many.ljust(900 * BLOCK - CARD) + "END".ljust(CARD)
    return {
        "continued": (long.ljust(-(-len(long) // BLOCK) * BLOCK).encode(), "are CONTINUE"),
        "no width": (header.tostring().encode(), "one axis has length 0, another 1,000,000,0"),
        "headers": (plain + many.encode() * 6, "the headers take more than 5,000 blocks"),
        "tiles": (
            packed.getvalue().replace(
                b"ZNAXIS1 =                   48", b"ZNAXIS1 = 1000000000".ljust(30)
            ),
            "a compressed image of 64,000,000,000 pixels",
        ),
        "wide": (arrays(1, (0, 0), 0).replace(b"1PB()", b"9PB()"), "column 1 ends beyond its row"),
        "empty": (b"", "missing or cut short"),
    }


@pytest.mark.parametrize("name", hostile())
def test_what_a_small_file_claims_is_limited(tmp_path, name):
    content, said = hostile()[name]
    path = tmp_path / "small.fits"
    path.write_bytes(content)
    assert said in refusal(path)


CODES = ("RICE_1", "GZIP_1", "GZIP_2", "HCOMPRESS_1", "PLIO_1")


@pytest.mark.parametrize("code", CODES)
def test_compressed_images_are_unpacked_and_damage_is_one_line(tmp_path, code):
    path = tmp_path / "tiles.fits"
    values = np.random.default_rng(0).poisson(900, (64, 64)).astype(np.int16)
    written(path, fits.PrimaryHDU(), fits.CompImageHDU(values, compression_type=code))
    with open_fits(path, "mend it") as hdus:
        np.testing.assert_array_equal(data_at(hdus, 1, kind=fits.ImageHDU), values)
        place = hdus[1].fileinfo()["datLoc"]
    content = bytearray(path.read_bytes())
    content[place + 1024 :] = bytes(len(content) - place - 1024)
    path.write_bytes(content)
    try:
        with open_fits(path, "mend it") as hdus:
            assert (image_at(hdus, 1)[0] != values).any()
    except NpecatError as error:
        assert str(error).startswith(f"{path}: the compressed image cannot be unpacked (")
        assert "\n" not in str(error)


def test_a_pipe_is_refused(tmp_path):
    """Reading it would wait for a writer for ever."""
    os.mkfifo(tmp_path / "pipe.fits")
    assert "no plain file" in refusal(tmp_path / "pipe.fits")
