"""An injection test as text for the terminal and as a figure."""

from pathlib import Path

import matplotlib
import numpy as np
from astropy.table import Table
from matplotlib.figure import Figure

from npecat_eval.pictures.image_panels import TYPE_COLOUR
from npecat_eval.pictures.style import MARKERS, PRINT, save_figure
from npecat_eval.report.text_columns import columns_text

PANELS = {
    "recovered": "Share recovered",
    "flux_ratio": "Flux over true flux",
    "flux_scatter": "Scatter of flux over true flux",
    "right_type": "Share of right type",
}
"""Column of injection.summary -> label of its panel."""


def injection_text(table: Table, *, band: str) -> str:
    """The table of injection.summary as text, each row with its numbers of sources."""
    header = [f"true {band}", "type", "recovered", "of", "flux bias", "scatter", "right type", "of"]
    rows = []
    for row in table:
        cells = [f"{row['mag_low']:.1f} to {row['mag_high']:.1f}", row["type"]]
        cells += [f"{row['recovered']:.3f}", f"{row['recovered_n']}"]
        cells += [f"{row['flux_ratio'] - 1:+.3f} ± {row['flux_error']:.3f}"]
        cells += [f"{row['flux_scatter']:.3f}", f"{row['right_type']:.3f}", f"{row['flux_n']}"]
        rows.append(["-" if "nan" in cell else cell for cell in cells])
    return columns_text(header, rows)


def draw_injection_test(table: Table, path: Path, *, band: str) -> None:
    """Draw the columns of PANELS against magnitude, for stars and galaxies, with 1-sigma bars.

    Parameters
    ----------
    table : Table
        From injection.summary.
    path : Path
        Picture to write, .png or .pdf.
    band : str
        Name of the filter of the image.
    """
    limits = {
        "recovered": ("recovered_low", "recovered_high"),
        "right_type": ("right_type_low", "right_type_high"),
    }
    with matplotlib.rc_context(PRINT):
        figure = Figure(figsize=(7, 6), layout="constrained")
        for axes, (name, label) in zip(figure.subplots(2, 2).ravel(), PANELS.items(), strict=True):
            for kind, marker in zip(TYPE_COLOUR, MARKERS, strict=False):
                rows = table[table["type"] == kind]
                middle = (rows["mag_low"] + rows["mag_high"]) / 2
                value = np.array(rows[name])
                error = None
                if name in limits:
                    low, high = [np.array(rows[limit]) for limit in limits[name]]
                    error = np.maximum([value - low, high - value], 0)
                elif name == "flux_ratio":
                    error = rows["flux_error"]
                axes.errorbar(
                    middle, value, yerr=error, color=TYPE_COLOUR[kind], marker=marker, label=kind
                )
            axes.set_ylabel(label)
            axes.set_xlabel(f"True {band} magnitude")
            if name == "flux_ratio":
                axes.axhline(1, color="black", linewidth=0.8)
            if name == "flux_scatter" and np.any(np.array(table[name]) > 0):
                axes.set_yscale("log")
        axes.legend()
        save_figure(figure, path)
