"""A comparison with SDSS's catalog as text for the terminal and as a figure."""

from pathlib import Path

import matplotlib
import numpy as np
from astropy.table import Table
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from npecat_eval.pictures.image_panels import TYPE_COLOUR
from npecat_eval.pictures.style import COLOURS, MARKERS, PRINT, save_figure
from npecat_eval.real_images.sdss_comparison import Comparison
from npecat_eval.real_images.sdss_tables import BINS, MAGNITUDE, summary
from npecat_eval.report.text_columns import columns_text

RATIO_SPAN = (0.5, 1.7)
"""Limits of the axis of flux ratios; few pairs lie outside."""

MAGNITUDE_SPAN = (14.0, 22.5)
"""Limits of the axis of magnitudes."""


def magnitude_span(low: float, high: float, *, band: str) -> str:
    """A range of magnitude in words."""
    return f"{band} < {high:g}" if np.isneginf(low) else f"{low:g} to {high:g}"


def summary_text(table: Table, *, band: str) -> str:
    """The table of sdss_tables.summary as text, each share and ratio with its number of sources."""
    header = [f"SDSS {band}", "complete", "of", "star ratio", "scatter", "of"]
    header += ["galaxy ratio", "scatter", "of", "same type", "of", "SDSS has not", "of"]
    header += ["unflagged", "of"]
    rows = []
    for row in table:
        cells = [
            magnitude_span(row["mag_low"], row["mag_high"], band=band),
            *_share(row, "complete"),
        ]
        for kind in ("star", "galaxy"):
            ratio = f"{row[f'{kind}_ratio']:.3f} ± {row[f'{kind}_error']:.3f}"
            cells += [ratio, f"{row[f'{kind}_scatter']:.3f}", f"{row[f'{kind}_n']}"]
        for name in ("agree", "alone", "alone_unflagged"):
            cells += _share(row, name)
        rows.append(["-" if cell == "nan" else cell.replace("nan ± nan", "-") for cell in cells])
    return columns_text(header, rows)


def _share(row: Table.Row, name: str) -> list[str]:
    """Cells of a share and of its number of sources."""
    return [f"{row[name]:.3f}", f"{row[f'{name}_n']}"]


def disagreements_text(table: Table, *, band: str) -> str:
    """The table of sdss_tables.disagreements as text."""
    header = ["kind", "ra", "dec", "x", "y", f"SDSS {band}", band, "SDSS type", "P(galaxy)"]
    rows = []
    for row in table:
        place = [f"{row['ra']:.5f}", f"{row['dec']:.5f}", f"{row['x']:.1f}", f"{row['y']:.1f}"]
        ours = row[MAGNITUDE.format(band=band)]
        rest = [f"{row['sdss_mag']:.2f}", f"{ours:.2f}", row["sdss_type"]]
        rest += [f"{row['prob_galaxy']:.2f}", f"{row['nearest']:.2f}", f"{row['flags']}"]
        rows.append([row["kind"], *place, *(cell.replace("nan", "-") for cell in rest)])
    return columns_text([*header, "nearest", "flags"], rows)


def draw_comparison(comparison: Comparison, path: Path) -> None:
    """Draw completeness, flux ratios, agreement of types and sources that SDSS does not have.

    Parameters
    ----------
    comparison : Comparison
        A catalog matched to SDSS's.
    path : Path
        Picture to write, .png or .pdf.
    """
    table, band = summary(comparison)[: len(BINS)], comparison.catalog.band
    with matplotlib.rc_context(PRINT):
        figure = Figure(figsize=(7, 6), layout="constrained")
        found, ratio, agree, alone = figure.subplots(2, 2).ravel()
        _draw_shares(found, table, {"complete": "SDSS sources found"})
        _draw_ratios(ratio, comparison, table)
        _draw_shares(agree, table, {"agree": "same type in both"})
        _draw_shares(alone, table, {"alone": "all", "alone_unflagged": "with flags 0"})
        found.set_ylabel("Completeness")
        ratio.set_ylabel("Flux over SDSS's")
        agree.set_ylabel("Star/galaxy agreement")
        alone.set_ylabel("Share of detections that SDSS has not")
        for axes in (found, ratio, agree, alone):
            axes.set_xlim(*MAGNITUDE_SPAN)
            axes.set_xlabel(f"SDSS {band} magnitude")
        alone.set_xlabel(f"{band} magnitude of the detection")
        ratio.legend()
        alone.legend()
        save_figure(figure, path)


def _draw_shares(axes: Axes, table: Table, labels: dict[str, str]) -> None:
    """Draw a mark with 1-sigma limits at the middle of each range of magnitude."""
    middle, half = _middles(table)
    for (name, label), colour, marker in zip(labels.items(), COLOURS, MARKERS, strict=False):
        share = np.array(table[name])
        limits = np.array([share - table[f"{name}_low"], table[f"{name}_high"] - share])
        axes.errorbar(
            middle,
            share,
            yerr=np.maximum(limits, 0),
            xerr=half,
            color=colour,
            marker=marker,
            linestyle="none",
            elinewidth=0.8,
            label=label,
        )


def _draw_ratios(axes: Axes, comparison: Comparison, table: Table) -> None:
    """Draw the flux ratio of each pair, and the medians of the ranges, by SDSS's type."""
    magnitude = comparison.true_magnitude[comparison.match.truth]
    is_galaxy = comparison.true_galaxy[comparison.match.truth]
    middle, _ = _middles(table)
    for kind, chosen, marker in (("star", ~is_galaxy, "o"), ("galaxy", is_galaxy, "s")):
        colour = TYPE_COLOUR[kind]
        axes.scatter(
            magnitude[chosen],
            np.clip(comparison.flux_ratio[chosen], *RATIO_SPAN),
            4,
            color=colour,
            marker=marker,
            alpha=0.35,
            linewidths=0,
        )
        axes.errorbar(
            middle,
            table[f"{kind}_ratio"],
            yerr=table[f"{kind}_error"],
            color=colour,
            marker=marker,
            markeredgecolor="white",
            markersize=6,
            label=f"{kind}, median",
        )
    axes.axhline(1, color="black", linewidth=0.8)
    axes.set_ylim(*RATIO_SPAN)


def _middles(table: Table) -> tuple[np.ndarray, np.ndarray]:
    """float64 (range,) each: middle and half width of the ranges, cut at MAGNITUDE_SPAN."""
    low = np.maximum(table["mag_low"], MAGNITUDE_SPAN[0])
    return (low + table["mag_high"]) / 2, (table["mag_high"] - low) / 2
