"""Send-time scheduler: when each recipient could get the message on each channel.

The rule (contract, section 4, step 6): a minute is permitted if it is in the campaign's period and send window and
outside the recipient's quiet hours, which never hold e-mail. High urgency takes the first permitted minute; normal
and low take the local hour of highest weight within 24 and 72 hours, as weights are published (`engine.learning`), and
spread recipients over its permitted minutes; `send_at` replaces the choice, not the permissions; transactional
messages know only the period.

The arithmetic is `kernels.send_times`, for all recipients and channels of a part in one call.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engine._core import Admission
from engine.columns import Features
from engine.learning import CampaignFigures
from engine.rules import Rules
from kernels import HIGH, LOW, NONE, NORMAL, TRANSACTIONAL, send_times

__all__ = ["SendTimeScheduler", "Times"]

MODE_OF_URGENCY = (LOW, NORMAL, HIGH)


class Times(NamedTuple):
    """Rows of 7 channels: instants i64 (NONE where no minute is permitted), the campaign's local days i32 of them,
    the recipients' offsets from UTC i16 at them, in minutes."""

    instants: npt.NDArray[np.int64]
    days: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int16]


class SendTimeScheduler:
    """Finds send times by what is published of the hours."""

    def plan(self, admission: Admission, features: Features, rules: Rules, figures: CampaignFigures) -> Times:
        """The instants of a message to each recipient on each candidate channel."""
        count = len(admission)
        times = Times(
            np.empty((count, 7), dtype=np.int64),
            np.empty((count, 7), dtype=np.int32),
            np.empty((count, 7), dtype=np.int16),
        )
        urgency = rules.urgency if admission.urgency is None else admission.urgency
        send_times(
            admission.now,
            TRANSACTIONAL if rules.transactional else MODE_OF_URGENCY[urgency],
            NONE if admission.send_at is None else admission.send_at,
            features.candidates,
            features.zone,
            features.quiet_start,
            features.quiet_end,
            features.customer_type,
            features.spread,
            figures.hour_weights,
            *rules.window,
            *rules.period,
            rules.zone,
            times.instants,
            times.days,
            times.offsets,
        )
        return times
