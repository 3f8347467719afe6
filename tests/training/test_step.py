import pytest

from activitynet.errors import TrainingError
from activitynet.training.step import compile_blocks
from activitynet.zoo import create_model


def _fused(model):
    return [module.fused for module in model.modules() if hasattr(module, "fused")]


def test_compiling_is_by_choice_and_can_be_taken_back():
    model = create_model("test_resnet_se")
    for wanted in (False, True, False):
        compile_blocks(model, wanted)
        assert set(_fused(model)) == {wanted}


@pytest.mark.parametrize("name", ["test_efficientnet_se", "timm/test_resnet"])
def test_a_network_without_group_norms_cannot_be_compiled_and_is_told_so(name):
    model = create_model(name)
    compile_blocks(model, False)
    with pytest.raises(TrainingError, match=r"no block with a group norm.*compile to false"):
        compile_blocks(model, True)


def test_without_a_compiler_the_remedy_is_named(monkeypatch):
    from torch._inductor import config, cpp_builder

    monkeypatch.setattr(config.cpp, "cxx", ("no-such-compiler",))
    cpp_builder.cpp_compiler_search.cache_clear()
    with pytest.raises(TrainingError, match=r"needs a C\+\+ compiler.*compile to false"):
        compile_blocks(create_model("test_resnet_se"), True)
    cpp_builder.cpp_compiler_search.cache_clear()
