"""Catalog an image that is too large for memory, panel by panel.

Each panel is read, inspected and cataloged with a margin like an image of its own, so that sky,
noise and PSF may change over the image. It lists the sources on its own pixels. What two panels
list on their common border is listed once.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table, vstack
from scipy.spatial import KDTree

from npecat_eval.catalog.footprint import write_mask
from npecat_eval.catalog.formats import write_table
from npecat_eval.catalog.population import NOTHING_GIVEN, Given
from npecat_eval.survey_catalog import SurveyCatalog, catalog_survey_image
from npecat_sim.surveys.image import PixelFlag, SurveyImage
from npecat_sim.surveys.inspection.inspect import NoSkyError
from npecat_train.model import TileModel

MAX_SIDE = 4096
"""Pixels along the longer side of an image that is cataloged in one piece."""

PANEL, MARGIN = 2048, 128
"""Pixels along each side of a panel, and of what is read on every side of it."""

BORDER, SAME_SOURCE = 0.5, 1.5
"""Pixels by which a panel lists sources beyond its own ones, and within which two rows of
neighbouring panels are one source."""

Box = tuple[int, int, int, int]
"""First column and row of a part of an image, and the first ones beyond it."""


@dataclass(frozen=True)
class PaneledCatalog:
    """The catalog of a large image, in the columns of SurveyCatalog.

    Parameters
    ----------
    rows, missed_rows : Table
        The catalog, and the bright detections of SEP without a row.
    n_bright : int
        Number of bright detections.
    drawn : Table
        Draws of the catalog; empty if none were asked for.
    flags : ndarray
        uint8 (y, x): bits of PixelFlag, of the whole image.
    header : Header
        Coordinates of the whole image.
    """

    rows: Table
    missed_rows: Table
    n_bright: int
    drawn: Table
    flags: np.ndarray
    header: fits.Header

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def n_missed(self) -> int:
        """Number of bright detections without a row."""
        return len(self.missed_rows)

    def write(self, path: Path) -> None:
        """Write the catalog in the format of the file's suffix."""
        write_table(self.rows, path)

    def write_footprint(self, path: Path) -> None:
        """Write a mask of the pixels that were not searched, see catalog.footprint."""
        write_mask(self.flags, self.header, path)


def boxes(width: int, height: int) -> Iterator[Box]:
    """The panels of an image, without margins, row by row."""
    for bottom, left in product(range(0, height, PANEL), range(0, width, PANEL)):
        yield left, bottom, min(left + PANEL, width), min(bottom + PANEL, height)


def middle_of(width: int, height: int) -> str:
    """The cut of one panel in the middle of an image, which tells what holds for all."""
    left, bottom = max(width - PANEL, 0) // 2, max(height - PANEL, 0) // 2
    return _cut((left, bottom, min(left + PANEL, width), min(bottom + PANEL, height)))


def catalog_in_panels(
    open_part: Callable[[str], SurveyImage],
    model: TileModel,
    *,
    size: tuple[int, int],
    n_draws: int,
    seed: int,
    told: Callable[[str], None],
    given: Given = NOTHING_GIVEN,
) -> PaneledCatalog:
    """Catalog an image of any size.

    Parameters
    ----------
    open_part : callable
        It reads a part of the image, named as a cut ``x0:x1,y0:y1``.
    model : TileModel
        Network that predicts the posterior.
    size : tuple of int
        Width and height of the image.
    n_draws : int
        Number of draws of the catalog; 0 for none.
    seed : int
        Seed of the draws.
    told : callable
        It is called with a line of progress after each panel.
    given : Given, optional
        What is known of the sources, for a network of variant wide.

    Returns
    -------
    PaneledCatalog

    Raises
    ------
    NpecatError
        If a panel contradicts what was told of the image, see image_from_arrays. A panel without
        any data is left out.
    """
    width, height = size
    flags = np.full((height, width), int(PixelFlag.NO_DATA), np.uint8)
    parts: list[_Part] = []
    header = fits.Header()
    for number, box in enumerate(boxes(width, height), start=1):
        left, bottom, right, top = box
        seen = (
            max(left - MARGIN, 0),
            max(bottom - MARGIN, 0),
            min(right + MARGIN, width),
            min(top + MARGIN, height),
        )
        try:
            found = catalog_survey_image(open_part(_cut(seen)), model, given)
        except NoSkyError:
            continue
        part = _Part.of(found, box, n_draws=n_draws, seed=seed + number)
        parts.append(part)
        x0, y0, _, _ = seen
        flags[bottom:top, left:right] = found.image.flags[
            bottom - y0 : top - y0, left - x0 : right - x0
        ]
        header = found.image.header_of_file
        told(f"panel {number} at ({left}, {bottom}): {len(part.rows):,} sources")
    if not parts:
        raise NoSkyError("no panel of the image holds data; give an image of the sky")
    return _joined(parts, flags, header)


@dataclass(frozen=True)
class _Part:
    """What a panel lists on its own pixels, and a little beyond."""

    rows: Table
    missed: Table
    n_bright: int
    draws: Table | None

    @classmethod
    def of(cls, found: SurveyCatalog, box: Box, *, n_draws: int, seed: int) -> "_Part":
        """The part of a catalog that lies in a box."""
        kept = _inside(found.rows, box, BORDER)
        draws = None
        if n_draws:
            draws = found.draws(n_draws, seed=seed)
            draws = draws[_inside(draws, box, 0.0)]
            row_of = np.append(np.where(kept, np.cumsum(kept) - 1, -1), -1)
            draws["source"] = row_of[draws["source"]]
        missed = found.missed_rows
        x0, y0 = found.image.corner
        bright = Table({"x": found.reading.bright.x + x0, "y": found.reading.bright.y + y0})
        return cls(
            found.rows[kept],
            missed[_inside(missed, box, 0.0)],
            int(_inside(bright, box, 0.0).sum()),
            draws,
        )


def _inside(table: Table, box: Box, border: float) -> np.ndarray:
    """Rows whose place is in a box or within a border of it: bool (row,)."""
    left, bottom, right, top = box
    x, y = np.asarray(table["x"]) + 0.5, np.asarray(table["y"]) + 0.5  # pixel edges are whole
    inside: np.ndarray = (
        (x >= left - border) & (x < right + border) & (y >= bottom - border) & (y < top + border)
    )
    return inside


def _joined(parts: list[_Part], flags: np.ndarray, header: fits.Header) -> PaneledCatalog:
    """The parts as one catalog, with every source listed once."""
    rows = vstack([part.rows for part in parts], metadata_conflicts="silent")
    panel = np.repeat(np.arange(len(parts)), [len(part.rows) for part in parts])
    kept = np.ones(len(rows), bool)
    places = np.column_stack([rows["x"], rows["y"]])
    first_of = np.arange(len(rows))
    for first, second in sorted(KDTree(places).query_pairs(SAME_SOURCE)) if len(rows) else []:
        if panel[first] != panel[second] and kept[first] and kept[second]:
            kept[second], first_of[second] = False, first
    new_row = (np.cumsum(kept) - 1)[first_of]
    first = np.cumsum([0, *(len(part.rows) for part in parts[:-1])])
    draws = [
        _renumbered(part.draws, new_row[start:])
        for part, start in zip(parts, first, strict=True)
        if part.draws is not None
    ]
    drawn = vstack(draws, metadata_conflicts="silent") if draws else Table({"draw": []})
    drawn = drawn[np.argsort(drawn["draw"], kind="stable")]
    missed = vstack([part.missed for part in parts], metadata_conflicts="silent")
    n_bright = sum(part.n_bright for part in parts)
    rows = rows[kept]
    for name in ("DENSITY", "STARSHR"):
        if name in rows.meta:
            rows.meta[name] = float(np.mean([part.rows.meta[name] for part in parts]))
    rows.meta |= {"NBRIGHT": n_bright, "NMISSED": len(missed), "PANELS": len(parts)}
    return PaneledCatalog(rows, missed, n_bright, drawn, flags, header)


def _renumbered(draws: Table, row_of: np.ndarray) -> Table:
    """Draws whose sources are numbered as the rows of the whole catalog."""
    source = np.asarray(draws["source"])
    draws["source"] = np.append(row_of, -1)[source].astype(source.dtype)  # -1 is none, and stays -1
    return draws


def _cut(box: Box) -> str:
    """The cut that names a part of an image."""
    left, bottom, right, top = box
    return f"{left}:{right},{bottom}:{top}"
