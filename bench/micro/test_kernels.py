"""One call of each kernel for 10,000 recipients: `make bench` runs these, `make test` does not."""

from types import SimpleNamespace

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import kernels

MODES = {"transactional": kernels.TRANSACTIONAL, "high": kernels.HIGH, "normal": kernels.NORMAL, "low": kernels.LOW}


def test_rank(benchmark: BenchmarkFixture, batch: SimpleNamespace) -> None:
    benchmark(
        kernels.rank, batch.now, batch.candidates, batch.customer_type, batch.device, batch.zone,
        batch.preference_rank, batch.preference_count, batch.counts_row, batch.delivered, batch.engaged,
        batch.factor_weights, batch.customer_type_factors, batch.prior_deliveries, batch.rates,
        batch.device_factors, batch.urgency_factors, batch.hour_weights,
        batch.tiers, batch.costs, batch.order, batch.value,
    )  # fmt: skip
    assert (batch.order[:, 0] != kernels.NO_CHANNEL).all()


@pytest.mark.parametrize("mode", list(MODES))
def test_send_times(benchmark: BenchmarkFixture, batch: SimpleNamespace, mode: str) -> None:
    benchmark(
        kernels.send_times, batch.now, MODES[mode], kernels.NONE, batch.candidates, batch.zone,
        batch.quiet_start, batch.quiet_end, batch.customer_type, batch.spread, batch.hour_weights,
        8 * 60, 21 * 60, kernels.NONE, kernels.NONE, 0, batch.instant, batch.day, batch.offset,
    )  # fmt: skip
    assert (batch.instant != kernels.NONE).any()
