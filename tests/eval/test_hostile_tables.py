"""Tables of foreign formats: nothing is fetched, and what they claim is limited."""

import gzip
import itertools
import os
from pathlib import Path

import pytest

from npecat_eval.real_images.sky_catalog import read_catalog
from npecat_sim.errors import NpecatError
from tests.helpers.sky_files import catalog_data, photoobj_data

ROWS = 30


def text_of(folder: Path, name: str) -> str:
    """A good catalog of that suffix, which is read."""
    path = folder / f"good{Path(name).suffix}"
    kind = {".vot": "votable", ".ecsv": "ascii.ecsv", ".csv": "csv"}[path.suffix]
    catalog_data(photoobj_data(ROWS)).write(path, format=kind, overwrite=True)
    return path.read_text()


def with_stream(text: str, stream: str, kind: str = "BINARY2") -> str:
    start, end = text.index("<DATA>") + 6, text.index("</DATA>")
    return f"{text[:start]}<{kind}>{stream}</{kind}>{text[end:]}"


def entities(text: str) -> str:
    names = "abcdefghijk"
    said = "".join(
        f'<!ENTITY {name} "{f"&{before};" * 10}">' for before, name in itertools.pairwise(names)
    )
    text = text.replace("?>", f'?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">{said}]>', 1)
    return text.replace("<RESOURCE", "<DESCRIPTION>&k;</DESCRIPTION><RESOURCE", 1)


HOSTILE = {
    "http.vot": (
        lambda text: with_stream(text, '<STREAM href="http://127.0.0.1:9/table"/>'),
        "http://127.0.0.1:9/table), and nothing is fetched",
    ),
    "file.vot": (
        lambda text: with_stream(text, '<STREAM encoding="gzip" href="file:///BESIDE"/>'),
        "nothing is fetched",
    ),
    "fits.vot": (
        lambda text: with_stream(text, '<STREAM href="file:///BESIDE"/>', "FITS"),
        "nothing is fetched",
    ),
    "rows.vot": (lambda text: text.replace("<TABLE", '<TABLE nrows="90000000"', 1), "more memory"),
    "deep.vot": (lambda text: text.replace("<RESOURCE", "<GROUP>" * 50_000 + "<RESOURCE", 1), ""),
    "entities.vot": (entities, "limit on input amplification"),
    "field.csv": (lambda text: text + "a" * 30_000_000 + "\n", "more memory"),
    "code.ecsv": (
        lambda text: text.replace(
            "# schema", "# meta: !!python/object/apply:os.mkdir ['BESIDE']\n# schema"
        ),
        "yaml",
    ),
}
"""Name of a file -> how it is made of a good one, and what is said of it."""


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_table_is_refused_in_one_line(tmp_path, name):
    spoil, said = HOSTILE[name]
    beside = tmp_path / "beside"
    good = text_of(tmp_path, name)
    spoilt = spoil(good).replace("BESIDE", str(beside))
    assert spoilt != good
    path = tmp_path / name
    path.write_text(spoilt)
    with pytest.raises(NpecatError) as refusal:
        read_catalog(path)
    message = str(refusal.value)
    assert message.startswith(f"{path}: ") and said in message and "\n" not in message
    assert not beside.exists()


def test_a_table_that_unpacks_to_gigabytes_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("npecat_sim.io.child.SECONDS", 1)
    path = tmp_path / "bomb.csv"
    path.write_bytes(gzip.compress(text_of(tmp_path, "a.csv").encode() + bytes(10**7)) * 300)
    with pytest.raises(NpecatError, match=f"{path}: cannot be read as a table"):
        read_catalog(path)


@pytest.mark.parametrize("name", ["a.vot", "a.ecsv", "a.csv"])
def test_good_tables_are_read(tmp_path, name):
    text_of(tmp_path, name)
    assert len(read_catalog(tmp_path / f"good{Path(name).suffix}")) == ROWS


@pytest.mark.parametrize("value", [-1, 0.5, 2**40])
def test_flags_that_are_none_are_refused(tmp_path, value):
    table = catalog_data(photoobj_data(ROWS))
    table["flags"] = [value] * ROWS
    table.write(tmp_path / "flags.fits")
    with pytest.raises(NpecatError, match="row 0: flags is"):
        read_catalog(tmp_path / "flags.fits")


def test_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(NpecatError, match="no plain file"):
        read_catalog(tmp_path / "pipe.csv")
