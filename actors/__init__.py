"""Ray: shards, the budget ledger, and the clients of both.

For data jobs: `from actors import Outreach`.
"""

from actors.outreach import Outreach

__all__ = ["Outreach"]
