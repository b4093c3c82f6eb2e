"""Codes that kernels share with their callers."""

CHANNEL_COUNT = 7
"""Channels are columns 0 to 6, and bits 0 to 6 of a mask, in the order of the contract."""

EMAIL = 0
"""The channel that quiet hours never hold."""

NONE = -(2**63)
"""No instant; as a bound of a period: open."""

TRANSACTIONAL, HIGH, NORMAL, LOW = range(4)
"""The modes of a send time: goes at once; the urgencies, highest first."""

NOT_PREFERRED = 255
"""The preference rank of a channel that the recipient did not name."""

NO_CHANNEL = 255
"""Fills an order after its last channel."""
