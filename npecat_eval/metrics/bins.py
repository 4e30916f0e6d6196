"""Bins of magnitude and of SNR with equal numbers of true sources."""

from dataclasses import dataclass

import numpy as np

from npecat_sim.errors import NpecatError

MAGNITUDE_LIMIT = 22.0
"""Metrics are computed for sources brighter than this, about the 5 sigma limit of SDSS in the r
band (section 7 of the paper); the prior extends to 23, so that a network also sees fainter ones."""

N_BINS = 10
"""Number of bins, as in Figures 4 and 5 of the paper."""

NONE, MAGNITUDE, SNR = "none", "magnitude", "snr"
"""Axes of metrics; NONE marks a number over all sources."""


@dataclass(frozen=True)
class Bins:
    """Adjacent bins of an axis.

    A bin includes its lower edge and excludes its upper one. The first bin also includes all
    values below it, such as the magnitude of a source whose flux is overestimated.

    Parameters
    ----------
    axis : str
        Quantity that the bins divide: NONE, MAGNITUDE, SNR or another name.
    edges : ndarray
        float64 (bin + 1,), ascending.
    """

    axis: str
    edges: np.ndarray

    def __len__(self) -> int:
        return len(self.edges) - 1

    @property
    def low(self) -> np.ndarray:
        """float64 (bin,): lower edges."""
        return self.edges[:-1]

    @property
    def high(self) -> np.ndarray:
        """float64 (bin,): upper edges."""
        return self.edges[1:]

    def place(self, at: np.ndarray) -> np.ndarray:
        """Find the bin of each coordinate.

        Parameters
        ----------
        at : ndarray
            (source,): coordinates on the axis.

        Returns
        -------
        ndarray
            int (source,): index of the bin; -1 for NaN and for values at or above the last edge.
        """
        inside = at < self.edges[-1]
        return np.where(inside, np.searchsorted(self.edges[1:], at, side="right"), -1)


ALL, BRIGHTEST, FAINTEST = "all", "brightest tenth", "faintest tenth"
"""Selections of sources: r < 22, and the first and the last bin of magnitude."""

OVERALL = Bins(NONE, np.array([-np.inf, MAGNITUDE_LIMIT]))
"""One bin of magnitude: all sources of r < 22."""


def coordinate(bins: Bins, magnitude: np.ndarray, *, snr: np.ndarray) -> np.ndarray:
    """Return the quantity that the bins divide, for true sources.

    Parameters
    ----------
    bins : Bins
        Bins of NONE, MAGNITUDE or SNR.
    magnitude : ndarray
        float64 (source,): true r magnitude.
    snr : ndarray
        (source,): true SNR.

    Returns
    -------
    ndarray
        float64 (source,): the SNR for bins of SNR, NaN where r >= 22; else the magnitude.
    """
    if bins.axis == SNR:
        return np.where(magnitude < MAGNITUDE_LIMIT, snr.astype(np.float64), np.nan)
    return magnitude


def magnitude_bins(true_magnitude: np.ndarray) -> Bins:
    """Make N_BINS bins of magnitude with equal numbers of true sources, up to MAGNITUDE_LIMIT.

    Parameters
    ----------
    true_magnitude : ndarray
        float64 (source,): r magnitude of all true sources.

    Returns
    -------
    Bins

    Raises
    ------
    NpecatError
        If no true source is brighter than MAGNITUDE_LIMIT.
    """
    bright = true_magnitude[true_magnitude < MAGNITUDE_LIMIT]
    if len(bright) == 0:
        raise NpecatError(
            f"the test set holds no source brighter than r = {MAGNITUDE_LIMIT:g}; "
            "simulate more test images"
        )
    edges = np.quantile(bright, np.linspace(0, 1, N_BINS + 1))
    edges[-1] = MAGNITUDE_LIMIT
    return Bins(MAGNITUDE, edges)


def selections(bins: Bins) -> dict[str, tuple[float, float]]:
    """Return the range of magnitude of each selection.

    Parameters
    ----------
    bins : Bins
        Bins of magnitude.

    Returns
    -------
    dict of str to tuple of float
        Selection -> r magnitude of its brightest and its faintest sources.
    """
    low, high = bins.low.tolist(), bins.high.tolist()
    return {
        ALL: (-np.inf, MAGNITUDE_LIMIT),
        BRIGHTEST: (-np.inf, high[0]),
        FAINTEST: (low[-1], high[-1]),
    }


def within(magnitude: np.ndarray, span: tuple[float, float]) -> np.ndarray:
    """Return whether magnitudes lie in the range of a selection.

    Parameters
    ----------
    magnitude : ndarray
        float64 (source,).
    span : tuple of float
        Lower limit, which is included, and upper limit, which is not; see selections.

    Returns
    -------
    ndarray
        bool (source,).
    """
    low, high = span
    return (magnitude >= low) & (magnitude < high)


def snr_bins(snr: np.ndarray, true_magnitude: np.ndarray) -> Bins:
    """Make N_BINS bins of SNR with equal numbers of true sources of r < 22 (Appendix A).

    Parameters
    ----------
    snr, true_magnitude : ndarray
        float64 (source,): SNR and r magnitude of all true sources.

    Returns
    -------
    Bins
    """
    edges = np.quantile(snr[true_magnitude < MAGNITUDE_LIMIT], np.linspace(0, 1, N_BINS + 1))
    edges[-1] = np.nextafter(edges[-1], np.inf)  # the brightest belongs to the last bin
    return Bins(SNR, edges)
