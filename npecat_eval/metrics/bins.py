"""Bins of magnitude and of SNR with equal numbers of true sources."""

from dataclasses import dataclass

import numpy as np

from npecat_sim.errors import NpecatError

MAGNITUDE_LIMIT = 22.0
"""Figures are for sources brighter than this, about the 5 sigma limit of SDSS in the r band
(section 7 of the paper); the prior reaches 23, so that a network also sees what lies below."""

N_BINS = 10
"""Bins of Figures 4 and 5 of the paper."""

NONE, MAGNITUDE, SNR = "none", "magnitude", "snr"
"""Axes of metrics; the first stands for a number over all sources."""


@dataclass(frozen=True)
class Bins:
    """Adjacent bins of an axis; edges: float64 (bin + 1,), ascending.

    A bin holds its lower edge and not its upper one. The first also holds whatever lies below,
    such as an overestimate of the brightest source.
    """

    axis: str
    edges: np.ndarray

    def __len__(self) -> int:
        return len(self.edges) - 1

    @property
    def low(self) -> np.ndarray:
        """float64 (bin,)."""
        return self.edges[:-1]

    @property
    def high(self) -> np.ndarray:
        """float64 (bin,)."""
        return self.edges[1:]

    def place(self, at: np.ndarray) -> np.ndarray:
        """int (source,): the bin of each coordinate; -1 at or beyond the last edge, or NaN."""
        inside = at < self.edges[-1]
        return np.where(inside, np.searchsorted(self.edges[1:], at, side="right"), -1)


ALL, BRIGHTEST, FAINTEST = "all", "brightest tenth", "faintest tenth"
"""Selections: r < 22, and the first and the last bin of magnitude."""

OVERALL = Bins(NONE, np.array([-np.inf, MAGNITUDE_LIMIT]))
"""One bin of magnitude: all sources of r < 22."""


def coordinate(bins: Bins, magnitude: np.ndarray, snr: np.ndarray) -> np.ndarray:
    """float64 (source,): what the bins divide, of true sources; SNR only of those of r < 22."""
    if bins.axis == SNR:
        return np.where(magnitude < MAGNITUDE_LIMIT, snr.astype(np.float64), np.nan)
    return magnitude


def magnitude_bins(true_magnitude: np.ndarray) -> Bins:
    """N_BINS bins that share the true sources equally, from the brightest to MAGNITUDE_LIMIT.

    Raises NpecatError where no true source is brighter than that.
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
    """The range of magnitude of each selection; bins: of magnitude."""
    edges = bins.edges.tolist()
    return {
        ALL: (-np.inf, MAGNITUDE_LIMIT),
        BRIGHTEST: (-np.inf, edges[1]),
        FAINTEST: (edges[-2], edges[-1]),
    }


def within(magnitude: np.ndarray, span: tuple[float, float]) -> np.ndarray:
    """bool (source,): whether a magnitude lies in the range of a selection."""
    return (magnitude >= span[0]) & (magnitude < span[1])


def snr_bins(snr: np.ndarray, true_magnitude: np.ndarray) -> Bins:
    """N_BINS bins of SNR that share the true sources of r < 22 equally (Appendix A)."""
    edges = np.quantile(snr[true_magnitude < MAGNITUDE_LIMIT], np.linspace(0, 1, N_BINS + 1))
    edges[-1] = np.nextafter(edges[-1], np.inf)  # the brightest belongs to the last bin
    return Bins(SNR, edges)
