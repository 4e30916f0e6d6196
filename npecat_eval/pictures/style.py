"""The style of all figures, and how they are written.

Colours are those of Okabe & Ito (2008), which people with any colour vision can distinguish;
markers and dashes distinguish the methods without colour. Files hold no time stamp.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from npecat_sim.errors import NpecatError
from npecat_sim.io.storage import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 1)))
"""Of the methods in a figure, in their order: colours, markers and dashes of the lines."""

PRINT: Any = {
    "font.size": 9,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.5,
    "lines.markersize": 4.5,
    "lines.linewidth": 1.2,
    "legend.frameon": False,
    "pdf.fonttype": 42,
}
"""Settings of Matplotlib for plots. A figure 7 inches wide fits the two columns of a journal, where
type of 9 points is readable."""

NO_STAMP = {"png": {"Software": None}, "pdf": {"CreationDate": None}}
"""Kind of picture -> metadata without time stamp and version, so that files are reproducible."""

RESOLUTION = 200
"""Dots per inch of a PNG."""


def check_picture(path: Path) -> None:
    """Raise NpecatError unless the file's name ends in .png or .pdf."""
    if path.suffix[1:] not in NO_STAMP:
        raise NpecatError(f"{path}: cannot tell its kind; name a file that ends in .png or .pdf")


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a figure as .png or .pdf, complete or not at all."""
    from matplotlib import rc_context

    check_picture(path)
    kind = path.suffix[1:]
    with replacing(path) as partial, rc_context(PRINT):
        figure.savefig(partial, format=kind, dpi=RESOLUTION, metadata=NO_STAMP[kind])
