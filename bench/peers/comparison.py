"""The peers in one table: how many decisions or checks a second each makes, and what each does not do."""

from __future__ import annotations

from importlib import import_module
from statistics import median

from bench.peers.peer import Peer, PeerMissing
from bench.result import Result

MODULES = {
    "sqlalchemy": "bench.peers.sqlalchemy_transactions",
    "redis": "bench.peers.redis_script",
    "limits": "bench.peers.limits_window",
    "throttled-py": "bench.peers.throttled_window",
}
EXTRA = "pip install 'madan-sara[bench]'"


def peers() -> Result:
    """One after the other in this process; one that is not on this machine is left out, and the table says so."""
    rows: list[tuple[str, str]] = []
    figures: dict[str, object] = {}
    measured: list[str] = []
    for name, module in MODULES.items():
        try:
            peer = load_peer(module)
            rates = sorted(peer.measure())
        except PeerMissing as missing:
            rows.append((name, f"left out: {missing}"))
            figures[name] = {"missing": str(missing)}
            continue
        middle = median(rates)
        told = f"{middle:,.0f} {peer.does} a second ({rates[0]:,.0f} to {rates[-1]:,.0f})"
        measured.append(f"{name} {middle:,.0f}")
        rows.append((name, f"{told}; {peer.lacks}"))
        figures[name] = {
            f"{peer.does}_per_s": round(middle),
            f"{peer.does}_per_s_range": [round(rates[0]), round(rates[-1])],
            "lacks": peer.lacks,
        }
    return Result(
        name="peers",
        headline=", ".join(measured) + " decisions or checks a second" if measured else "no peer is on this machine",
        target="",
        reached=None,
        method="each as its users would write it, on one core beside its server where it has one; medians of repeats "
        "after warm-up (range); every answer checked; the do-nothing echo is in http_batch_json",
        figures=figures,
        rows=tuple(rows),
    )


def load_peer(module: str) -> Peer:
    """The peer of a module. Raises `PeerMissing` where its packages are not installed."""
    try:
        peer: Peer = import_module(module).PEER
    except ModuleNotFoundError as error:
        raise PeerMissing(f"the package {error.name} is missing: {EXTRA}") from error
    return peer
