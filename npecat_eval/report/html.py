"""An evaluation as one HTML file, with tables, figures and settings inside it."""

import json
from base64 import b64encode
from html import escape
from pathlib import Path
from typing import Any

from astropy.table import Table

from npecat_eval.metrics.depth import DEPTH
from npecat_eval.report import condition_figure
from npecat_eval.report.metric_figures import FIGURES, figure_path
from npecat_eval.report.wide_tables import WideTable, wide_tables
from npecat_sim.io.storage import replacing

N_HEADLINE = 4
"""Number of wide tables that are shown at first; the others are collapsed."""

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 60rem; margin: 2rem auto;
  padding: 0 1rem; }
img { max-width: 100%; }
figure { margin: 1.5rem 0; }
figcaption { color: #444; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.85rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.2rem 0.7rem; text-align: right; border-bottom: 1px solid #ddd;
  white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
pre { background: #f6f6f6; padding: 1rem; overflow-x: auto; font-size: 0.8rem; }
summary { cursor: pointer; margin: 0.5rem 0; }
"""
"""CSS of the page."""

READING = (
    "Detections are matched to true sources by least total distance, pairs beyond one pixel "
    "forbidden; figures are for r &lt; 22. Each value comes with one sigma of a bootstrap over "
    "images. SEP is Source Extractor as a library, given the true PSF and sky. <em>bound</em> is "
    "what physics allows: the Cramer-Rao flux error of a source whose shape and place are known, "
    "and a detector that finds every source of SNR &gt; 5."
)
"""How to read the tables."""

DEPTH_READING = (
    " Fluxes are in a unit of each image's own, in which ten sigma of the noise under its PSF are "
    "r = 22; so r &lt; 22 stands for the sources above that."
)
MASK_READING = " True sources on masked pixels need not be found."
"""More of it for images of different depth, and of prior ``wide``."""

EXAMPLES = (
    "Simulated test images. Open marks are true sources, crosses what {method} found; circles and "
    "plusses are stars, squares and diagonal crosses galaxies; small marks are fainter than r = 22."
)
RESIDUALS = (
    "The same images without the sources that {method} found. Each galaxy is taken for the typical "
    "one, since a catalog holds no shapes: the others leave rings and lobes. Stars and sky should "
    "leave nothing but noise."
)
"""Captions of the images."""


def write_report(
    table: Table,
    settings: dict[str, Any],
    *,
    conditions: Table | None = None,
    drawn: list[Path],
    examples: Path,
    residuals: Path,
    method: str,
    directory: Path,
) -> Path:
    """Write report.html of one test set; the same input gives the same bytes.

    Parameters
    ----------
    table : Table
        Metrics in the long form of metrics.table.evaluate.
    settings : dict
        See tables.write.
    conditions : Table, optional
        From metrics.conditions.by_condition.
    drawn : list of Path
        Figures in the directory, from metric_figures.draw.
    examples, residuals : Path
        PNGs of images and of their residuals.
    method : str
        The method whose predictions these show.
    directory : Path
        Folder to write to.

    Returns
    -------
    Path
        The file.
    """
    test_set = str(table["test_set"][0])
    reading = READING
    if conditions is not None:
        reading += MASK_READING + (DEPTH_READING if settings["limit"] == DEPTH else "")
    tables = wide_tables(table)
    parts = [
        f"<h1>Probabilistic catalogs of test set {escape(test_set)}</h1>",
        f"<p>{settings['n_images']:,} images. {reading}</p>",
        *(_table(wide) for wide in tables[:N_HEADLINE]),
        "<h2>Figures</h2>",
    ]
    for kind in FIGURES:
        path = figure_path(directory, kind, test_set=test_set, suffix="png")
        if path in drawn:
            parts.append(_figure(path, kind.caption))
    if conditions is not None:
        path = condition_figure.figure_path(directory, test_set, "png")
        parts += ["<h2>By condition</h2>", _figure(path, condition_figure.CAPTION)]
        tables = tables + condition_figure.condition_tables(conditions)
    parts += [
        "<h2>Examples</h2>",
        _figure(examples, EXAMPLES.format(method=method)),
        _figure(residuals, RESIDUALS.format(method=method)),
        "<h2>All tables</h2>",
        *(
            f"<details><summary>{escape(wide.title)}</summary>{_cells(wide)}</details>"
            for wide in tables[N_HEADLINE:]
        ),
        "<h2>Settings</h2>",
        f"<pre>{escape(json.dumps(settings, indent=1))}</pre>",
    ]
    page = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f'<link rel="icon" href="data:,"><title>npecat: {escape(test_set)}</title>\n'
        f"<style>{STYLE}</style></head>\n<body>\n" + "\n".join(parts) + "\n</body></html>\n"
    )
    report = directory / "report.html"
    with replacing(report) as partial:
        partial.write_text(page, encoding="utf-8")
    return report


def _table(wide: WideTable) -> str:
    """A wide table with its title."""
    return f"<h3>{escape(wide.title)}</h3>{_cells(wide)}"


def _cells(wide: WideTable) -> str:
    """The cells of a wide table, which scrolls if it is too wide for the page."""
    header, *rows = wide.cells
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def _figure(path: Path, caption: str) -> str:
    """A PNG inside the page, with its caption."""
    content = b64encode(path.read_bytes()).decode("ascii")
    return (
        f'<figure><img alt="{escape(path.stem)}" src="data:image/png;base64,{content}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )
