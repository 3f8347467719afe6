import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from activitynet.blocks import DropPath
from activitynet.errors import ModelError


@settings(max_examples=20, deadline=None)
@given(rate=st.floats(0.01, 0.9), seed=st.integers(0, 2**31))
def test_each_sample_is_dropped_whole_and_the_expected_value_stays(rate, seed):
    torch.manual_seed(seed)
    samples = 20_000
    out = DropPath(rate)(torch.ones(samples, 2, 1, 2)).reshape(samples, -1)
    assert torch.equal(out.amin(1), out.amax(1))
    scale = torch.tensor(1 / (1 - rate))
    assert ((out[:, 0] == 0) | torch.isclose(out[:, 0], scale)).all()
    deviation = (rate / (1 - rate) / samples) ** 0.5
    assert abs(out.mean().item() - 1) < 6 * deviation


def test_it_does_nothing_in_evaluation_or_at_rate_0():
    x = torch.randn(4, 3, 2, 2)
    assert DropPath(0.5).eval()(x) is x
    assert DropPath(0.0).train()(x) is x


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_dtype_stays(dtype):
    assert DropPath(0.5)(torch.ones(4, 2, dtype=dtype)).dtype == dtype


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, float("nan"), "0.1", None])
def test_a_rate_out_of_range_is_refused(rate):
    with pytest.raises(ModelError, match="drop_path_rate is"):
        DropPath(rate)
