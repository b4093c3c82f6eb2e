"""The columns that pass between the Rust core and numpy, checked equal on both sides when imported."""

from __future__ import annotations

from typing import NamedTuple, get_args, get_type_hints

import numpy as np
import numpy.typing as npt

from engine._core import FEATURE_LAYOUT, Admission

__all__ = ["Features"]


class Features(NamedTuple):
    """What the kernels read of n recipients, in request order."""

    candidates: npt.NDArray[np.uint8]
    """[n], bit c: channel c is a candidate of step 2; 0 where step 0 failed."""
    customer_type: npt.NDArray[np.uint8]
    """[n], code."""
    device: npt.NDArray[np.uint8]
    """[n], code."""
    zone: npt.NDArray[np.uint16]
    """[n], index into `kernels.ZONE_NAMES`, the campaign's filled in."""
    quiet_start: npt.NDArray[np.int16]
    """[n], minute of the local day, the default filled in; equal to the end where nothing is quiet."""
    quiet_end: npt.NDArray[np.int16]
    preference_rank: npt.NDArray[np.uint8]
    """[n, 7], place among the preferred channels from 0, or 255."""
    preference_count: npt.NDArray[np.uint8]
    """[n], how many channels are preferred."""
    spread: npt.NDArray[np.uint64]
    """[n], the hash that places a recipient within an hour."""
    counts_row: npt.NDArray[np.uint32]
    """[n], the row of the recipient's own counts in the next two; 0, all zeros, of those who have none."""
    delivered: npt.NDArray[np.float64]
    """[m, 7], messages of the recipient's that were delivered, decayed to now; m is 1 more than who has any."""
    engaged: npt.NDArray[np.float64]
    """[m, 7], the same of those answered. May exceed what was delivered: it may be younger."""
    costs: npt.NDArray[np.int64]
    """[7], micro-units that a message to them costs; an SMS, all its segments."""

    @classmethod
    def of(cls, admission: Admission) -> Features:
        """The features of a part's recipients."""
        return cls(*admission.features())


def _check_layout() -> None:
    theirs = {name: np.dtype(kind) for name, kind in FEATURE_LAYOUT}
    hints = get_type_hints(Features)
    # NDArray[T] is ndarray[shape, dtype[T]].
    ours = {name: np.dtype(get_args(get_args(hints[name])[1])[0]) for name in Features._fields}
    if list(theirs.items()) != list(ours.items()):
        raise ImportError(f"engine._core has the columns {theirs} instead of {ours}; build it again")


_check_layout()
