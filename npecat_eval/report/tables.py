"""Metrics as files: ECSV, Markdown and LaTeX.

All functions take metrics in the long form of metrics.table.evaluate, of one or more test sets.
"""

from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table

from npecat_eval.metrics.bins import ALL, NONE
from npecat_eval.metrics.table import TRUTH
from npecat_eval.report.wide_tables import TITLES, WideTable, by_method, unique, wide_tables
from npecat_sim.io.storage import replacing

DIGITS = 6
"""Significant digits: more than any sigma needs, few enough to be equal on every machine."""

LATEX = str.maketrans({"±": r"$\pm$", "%": r"\%", "_": r"\_", "<": "$<$", "&": r"\&", "#": r"\#"})
"""Characters to replace in a cell of a LaTeX table."""


def rounded(table: Table) -> Table:
    """A copy of the table with all numbers rounded to DIGITS significant digits."""
    copy = table.copy()
    for name in ("low", "high", "value", "sigma"):
        copy[name][:] = [float(f"{number:.{DIGITS}g}") for number in table[name]]
    return copy


def write(table: Table, directory: Path, *, settings: dict[str, Any]) -> list[Path]:
    """Write metrics.ecsv (long form), metrics.md and metrics.tex.

    The same input gives the same bytes.

    Parameters
    ----------
    table : Table
        Metrics in long form.
    directory : Path
        Folder to write to.
    settings : dict
        What the numbers depend on, such as digests of store and checkpoints, as plain values.

    Returns
    -------
    list of Path
        The files.
    """
    long_form = rounded(table)
    long_form.meta = settings
    paths = [directory / f"metrics.{kind}" for kind in ("ecsv", "md", "tex")]
    with replacing(paths[0]) as partial:
        long_form.write(partial, format="ascii.ecsv", overwrite=True)
    for path, text in zip(paths[1:], (markdown(table), latex(table)), strict=True):
        with replacing(path) as partial:
            partial.write_text(text, encoding="utf-8")
    return paths


def markdown(table: Table) -> str:
    """The wide tables of every test set, as Markdown."""
    lines = ["# Metrics", "", "Each value ± one sigma (bootstrap over images)."]
    for test_set, tables in _by_test_set(table):
        lines += ["", f"## Test set `{test_set}`"]
        for wide in tables:
            rule = ["---"] * len(wide.cells[0])
            rows = [wide.cells[0], rule, *wide.cells[1:]]
            lines += ["", f"### {wide.title}", ""]
            lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def latex(table: Table) -> str:
    """The wide tables as LaTeX table environments, to be included in a document."""
    blocks = ["% Each value with one sigma (bootstrap over images)."]
    for test_set, tables in _by_test_set(table):
        for wide in tables:
            header, *rows = [" & ".join(c.translate(LATEX) for c in row) for row in wide.cells]
            caption = f"{wide.title}. Test set {test_set}.".translate(LATEX)
            blocks.append(
                "\\begin{table}\n\\centering\n"
                f"\\caption{{{caption}}}\n"
                f"\\begin{{tabular}}{{l{'r' * (len(wide.cells[0]) - 1)}}}\n\\hline\n"
                f"{header} \\\\\n\\hline\n"
                + "".join(f"{row} \\\\\n" for row in rows)
                + "\\hline\n\\end{tabular}\n\\end{table}"
            )
    return "\n\n".join(blocks) + "\n"


def overall_text(table: Table) -> str:
    """The main metrics of every test set, in columns for the terminal."""
    plain = table[
        (table["reference"] == TRUTH) & (table["axis"] == NONE) & (table["selection"] == ALL)
    ]
    blocks = []
    for test_set in unique(plain["test_set"]):
        cells = by_method("", plain[plain["test_set"] == test_set], metrics=TITLES).cells
        cells[0][0] = f"test set {test_set}"
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        for row in cells:
            padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            blocks.append("  ".join(padded).rstrip())
        blocks.append("")
    return "\n".join(blocks)


def _by_test_set(table: Table) -> list[tuple[str, list[WideTable]]]:
    """Name of each test set and its wide tables."""
    names = unique(np.asarray(table["test_set"]))
    return [(name, wide_tables(table[table["test_set"] == name])) for name in names]
