"""What kernels accept, and that they work where machine code cannot be kept."""

import numba
import numpy as np
import pytest

from kernels import jit


def double(values: np.ndarray, out_doubled: np.ndarray) -> None:
    for i in range(values.shape[0]):
        out_doubled[i] = 2 * values[i]


@pytest.fixture
def doubling(monkeypatch: pytest.MonkeyPatch) -> jit.Kernel:
    """Declared where no cache locator finds a directory to write to."""
    monkeypatch.setattr(numba.config, "CACHE_LOCATOR_CLASSES", "kernels.jit.ConfiguredCache")
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    return jit.Kernel(double, (jit.column("int64"), jit.out("int64")))


def test_takes_writable_and_read_only_arrays(doubling: jit.Kernel) -> None:
    values, doubled = np.arange(3), np.zeros(3, np.int64)
    doubling(values, doubled)
    assert doubled.tolist() == [0, 2, 4]
    values = np.arange(3, 6)
    values.flags.writeable = False
    doubling(values, doubled)
    assert doubled.tolist() == [6, 8, 10]


@pytest.mark.parametrize("values", [np.arange(3, dtype=np.int32), np.arange(6)[::2], np.zeros((1, 3), np.int64)])
def test_refuses_other_dtypes_layouts_and_ranks(doubling: jit.Kernel, values: np.ndarray) -> None:
    with pytest.raises(TypeError):
        doubling(values, np.zeros(3, np.int64))


def test_refuses_to_write_to_a_read_only_array(doubling: jit.Kernel) -> None:
    doubled = np.zeros(3, np.int64)
    doubled.flags.writeable = False
    with pytest.raises(TypeError):
        doubling(np.arange(3), doubled)
