"""What a library of images holds, as lines and as a picture."""

import numpy as np
from matplotlib.figure import Figure

from npecat_sim.fields.images import ImageTable


def measured(images: ImageTable) -> dict[str, np.ndarray]:
    """What is told of images.

    Parameters
    ----------
    images : ImageTable
        The images.

    Returns
    -------
    dict of str to ndarray
        Name and unit -> float64 (image,).
    """
    rows = range(len(images))
    ellipticity = np.array([np.hypot(*images.ellipticity(row)) for row in rows])
    fwhm = np.array([images.psf_of(row).fwhm for row in rows]) * images.pixel_scale
    return {
        "pixel (arcsec)": images.pixel_scale,
        "FWHM (arcsec)": fwhm,
        "ellipticity": ellipticity.round(4),
        "sky (nmgy/arcsec2)": images.sky,
        "electrons/nmgy": images.electrons_per_nmgy,
        "correlation": images.correlation,
        "depth (mag, 5 sigma)": np.array([images.depth(row) for row in rows]),
    }


def image_summary(images: ImageTable) -> str:
    """A line for each image, and the medians of all."""
    columns = measured(images)
    width = max(6, *map(len, images.name))
    lines = [f"{'image':<{width}} {'band':>6} " + " ".join(columns)]
    rows = [*zip(images.name, images.band, range(len(images)), strict=True)]
    told = [(name, band, [float(one[row]) for one in columns.values()]) for name, band, row in rows]
    if len(images) > 1:
        told.append(("median", "", [float(np.median(one)) for one in columns.values()]))
    for name, band, values in told:
        cells = [f"{v:{len(title)}.4g}" for title, v in zip(columns, values, strict=True)]
        lines.append(f"{name:<{width}} {band:>6} " + " ".join(cells))
    return "\n".join(lines)


def draw_images(images: ImageTable) -> Figure:
    """Draw histograms of FWHM, ellipticity, sky and depth of images, stacked by band."""
    figure = Figure(figsize=(11, 3.2), layout="constrained")
    columns = measured(images)
    names = ("FWHM (arcsec)", "ellipticity", "sky (nmgy/arcsec2)", "depth (mag, 5 sigma)")
    bands = sorted(set(images.band))
    of_band = [np.array(images.band) == band for band in bands]
    panels = figure.subplots(1, len(names))
    for panel, name in zip(panels, names, strict=True):
        groups = [columns[name][rows] for rows in of_band]
        panel.hist(groups, bins=15, stacked=True, label=bands)
        panel.set(xlabel=name, ylabel="Images per bin")
    panels[-1].legend(title="band", frameon=False)
    figure.suptitle(f"{len(images):,} image{'s' if len(images) > 1 else ''}")
    return figure
