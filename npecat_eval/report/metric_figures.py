"""Figures 4 to 9 of the paper, and two more of calibration, made from the table of metrics."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from astropy.table import Table
from matplotlib.figure import Figure

from npecat_eval.metrics.binned_means import MATCHED, TILES
from npecat_eval.metrics.bins import MAGNITUDE, SNR
from npecat_eval.metrics.calibration import LEVEL, PIT
from npecat_eval.metrics.roc import FALSE_POSITIVE_RATE
from npecat_eval.metrics.table import TRUTH
from npecat_eval.pictures.style import NO_STAMP, PRINT, save_figure
from npecat_eval.report import metric_panels as panels
from npecat_eval.report.wide_tables import unique


@dataclass(frozen=True)
class FigureKind:
    """A figure that can be drawn for any test set.

    Parameters
    ----------
    name : str
        Of the file.
    draw : callable
        Draws the figure from the rows of one test set.
    caption : str
        How to read the figure.
    """

    name: str
    draw: Callable[[Table], Figure]
    caption: str


FIGURES = (
    FigureKind(
        "figure4_detection",
        panels.by_axis(MAGNITUDE, ("precision", "recall")),
        "Precision: share of detections that are real, by the magnitude that the method states. "
        "Recall: share of true sources that are found, by true magnitude; the dotted grey line is "
        "a detector that finds every source of SNR > 5. Higher is better.",
    ),
    FigureKind(
        "figure5_measurement",
        panels.by_axis(MAGNITUDE, ("star_galaxy_accuracy", "flux_error_percent")),
        "Share of found sources whose type is right, and their mean absolute flux error. The "
        "dotted grey line is the Cramer-Rao bound of a source whose shape and place are known.",
    ),
    FigureKind(
        "figure6_counts",
        panels.counts,
        "Expected number of sources, summed over all tiles, over the true number. Calibrated "
        "networks lie on the short grey lines: two sources in one tile count as one.",
    ),
    FigureKind(
        "figure6_numbers",
        panels.numbers,
        "The same number in single images. Above, as in the paper: mean expected number of images "
        "that hold a true number of sources. Even an exact posterior is flatter than the diagonal "
        "here: images that are picked for holding many sources hold more than they show, and those "
        "that hold few, fewer. Below, the other way round: mean true number of images in which a "
        "number is expected. Calibrated networks lie on this diagonal.",
    ),
    FigureKind(
        "figure7_roc",
        panels.by_selection("roc", MATCHED, axis=FALSE_POSITIVE_RATE, finish=panels.finish_roc),
        "Galaxies that are called galaxies against stars that are called galaxies, as the "
        "threshold on P(galaxy) moves. Nearer to the upper left corner is better.",
    ),
    FigureKind(
        "figure8_coverage",
        panels.by_selection("flux_coverage", TILES, axis=LEVEL, finish=panels.finish_coverage),
        "Share of true fluxes inside the central credible interval of each probability, at the "
        "true tiles; tenths by estimated magnitude. Above the diagonal intervals are too wide, "
        "below it too narrow.",
    ),
    FigureKind(
        "figure8_pit",
        panels.by_selection("flux_pit", TILES, axis=PIT, finish=panels.finish_pit),
        "Histogram of the flux posterior's cdf at the truth. Flat is exact; a hump means too wide, "
        "a bowl too narrow, a slope biased.",
    ),
    FigureKind(
        "figure8_reliability",
        panels.reliability,
        "Of tiles, or of detections, that hold a source with probability p, a share p should. A "
        "detection also has to lie within a pixel of the source to match.",
    ),
    FigureKind(
        "figure9_snr",
        panels.by_axis(SNR, ("recall", "star_galaxy_accuracy", "flux_error_percent")),
        "The same against the signal-to-noise ratio of the true source (Appendix A).",
    ),
)
"""All figures, in the order of the paper."""


def draw(table: Table, directory: Path) -> list[Path]:
    """Write each figure of FIGURES for each test set as PNG and PDF.

    Parameters
    ----------
    table : Table
        Metrics in the long form of metrics.table.evaluate, of one or more test sets.
    directory : Path
        Folder to write to.

    Returns
    -------
    list of Path
        The files. Figures for which no method has numbers are left out.
    """
    written = []
    plain = table[table["reference"] == TRUTH]
    for test_set in unique(plain["test_set"]):
        for kind, figure in drawn_figures(plain[plain["test_set"] == test_set]):
            for suffix in NO_STAMP:
                written.append(figure_path(directory, kind, test_set=test_set, suffix=suffix))
                with matplotlib.rc_context(PRINT):
                    save_figure(figure, written[-1])
    return written


def figure_path(directory: Path, kind: FigureKind, *, test_set: str, suffix: str) -> Path:
    """The file of a figure of a test set."""
    return directory / f"{kind.name}_{test_set}.{suffix}"


def drawn_figures(table: Table) -> Iterator[tuple[FigureKind, Figure]]:
    """Draw the figures of one test set for which there are numbers.

    Parameters
    ----------
    table : Table
        Its rows of reference TRUTH, in long form.

    Yields
    ------
    kind : FigureKind
        What the figure shows.
    figure : Figure
        The figure.
    """
    for kind in FIGURES:
        with matplotlib.rc_context(PRINT):
            figure = kind.draw(table)
            if any(legend.get_texts() for legend in figure.legends):
                figure.suptitle(f"Test set: {table['test_set'][0]}", fontsize="medium")
                yield kind, figure
