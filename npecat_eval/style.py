"""The look of all figures.

Colours are those of Okabe & Ito (2008), told apart with any colour vision; markers and dashes
tell the methods apart without colour. Files hold no time stamp.
"""

from typing import Any

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 1)))

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
"""A width of 7 inches fits two columns of a journal; type of 9 points stays readable there."""

NO_STAMP = {"png": {"Software": None}, "pdf": {"CreationDate": None}}
