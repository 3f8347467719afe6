from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import activitynet

PACKAGE = Path(activitynet.__file__).parent
MODULES = sorted(module.name for module in pkgutil.walk_packages(activitynet.__path__, "activitynet."))
HEAVY = {"torch", "torchvision", "timm", "numpy", "matplotlib", "sklearn", "accelerate", "PIL"}


def test_importing_the_package_imports_nothing_heavy() -> None:
    program = "import activitynet, sys; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert "activitynet" in loaded.split()
    assert HEAVY.isdisjoint(loaded.split())


def test_predicting_imports_no_more_than_it_needs() -> None:
    """Whoever asks for one photo waits for every module."""
    program = "import activitynet, sys; activitynet.Classifier; activitynet.Ensemble; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "torch" in loaded
    assert {"scipy", "sklearn", "accelerate", "matplotlib", "jinja2"}.isdisjoint(loaded)


@pytest.mark.parametrize("name", activitynet.__all__)
def test_each_public_name_is_there_and_described(name: str) -> None:
    value = getattr(activitynet, name)
    assert getattr(activitynet, name) is value
    assert name in dir(activitynet)
    if inspect.isclass(value) or inspect.isfunction(value):
        assert inspect.getdoc(value)


def test_the_lazy_list_and_what_type_checkers_see_are_the_same() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text("utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == activitynet._PUBLIC
    assert sorted(activitynet.__all__) == sorted([*seen, "__version__"])


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Clasifier'"):
        activitynet.Clasifier  # noqa: B018 - looking is the test


def test_type_checkers_are_told_that_the_package_is_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()


@pytest.mark.parametrize("name", MODULES)
def test_each_module_keeps_the_promises_of_its_docstrings(name: str) -> None:
    module = importlib.import_module(name)
    assert inspect.getdoc(module), "what is this module for?"
    assert doctest.testmod(module).failed == 0
