from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

import activitynet
from activitynet.cli.main import run
from activitynet.errors import DataError

COMMANDS = [
    "train",
    "fine-tune",
    "lr-find",
    "recipes",
    "audit",
    "demo",
    "evaluate",
    "study",
    "predict",
    "models",
    "sample-data",
    "doctor",
]
HEAVY = ("torch", "torchvision", "timm", "numpy", "matplotlib", "sklearn", "accelerate", "PIL")


@pytest.mark.parametrize("arguments", [[], ["--help"], *([command, "--help"] for command in COMMANDS)])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    program = f"""
import sys
from activitynet.cli.main import run
code = run({arguments!r})
print("heavy:", *sorted({{name.partition(".")[0] for name in sys.modules}} & set({HEAVY!r})))
sys.exit(code)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "Usage: activitynet" in done.stdout
    assert done.stdout.endswith("heavy:\n")
    assert done.stderr == ""


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    words = capsys.readouterr().out.split()
    assert set(COMMANDS) <= set(words)


@pytest.mark.parametrize(
    "command",
    [
        "train",
        "fine-tune",
        "distill",
        "lr-find",
        "evaluate",
        "calibrate",
        "predict",
        "explain",
        "demo",
        "ensemble",
        "soup",
        "export",
    ],
)
def test_commands_that_run_a_network_take_a_device(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert run([command, "--help"]) == 0
    assert "--device" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"{activitynet.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["evalute"], "evalute"),
        (["explain", "a.jpg"], "--to"),
        (["predict", "--weights", "w"], "PHOTO"),
        (["predict", "a.jpg", "--weights", "w", "--json", "--csv"], "--json and --csv"),
        (["predict", "a.jpg", "--weights", "w", "--top", "0"], "--top"),
        (["train", "data", "--epochs", "many"], "--epochs"),
        (["train", "data", "--resume"], "--run"),
        (["train", "data", "--workers", "-1"], "--workers"),
        (["models", "--jsn"], "--jsn"),
        (["models", "a", "b\x1b[2J"], "b\\x1b[2J"),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert said in captured.err
    assert captured.err.endswith("--help'.\n")


class Ends:
    """A public function that ends in one way."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __call__(self, *_: object, **__: object) -> object:
        raise self.error


def models_end(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> int:
    monkeypatch.setitem(vars(activitynet), "list_models", Ends(error))
    return run(["models"])


def test_errors_of_the_library_are_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert models_end(monkeypatch, DataError("2 photos are bad:\n  a\x1b[31m.jpg\n  b.jpg")) == 2
    assert capsys.readouterr().err == "error: 2 photos are bad:\n  a\\x1b[31m.jpg\n  b.jpg\n"


def test_faults_of_the_program_show_where(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert models_end(monkeypatch, ZeroDivisionError("oh")) == 70
    assert "Traceback" in (said := capsys.readouterr().err)
    assert "ZeroDivisionError: oh" in said


def test_interruption_is_code_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert models_end(monkeypatch, KeyboardInterrupt()) == 130
    assert "Traceback" not in capsys.readouterr().err


ENDLESS = """
import sys, activitynet
from rich.table import Column
from activitynet.cli import main
from activitynet.cli.options import RowPrinter

def endless(pattern):
    printer = RowPrinter(Column("x", width=100))
    while True:
        printer.row("x" * 100)

activitynet.list_models = endless
sys.argv[1:] = ["models"]
main()
"""

SHORT = """
import dataclasses, sys, activitynet
from activitynet.cli import main

activitynet.list_models = lambda pattern: [pattern]
activitynet.model_info = dataclasses.make_dataclass("Info", ["name"])
sys.argv[1:] = ["models", "--json"]
main()
"""


@pytest.mark.parametrize("program", [ENDLESS, SHORT])
def test_a_reader_that_has_gone_is_no_fault(program: str) -> None:
    reading, writing = os.pipe()
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=writing, stderr=subprocess.PIPE, env=buffered
    )
    os.close(writing)
    os.close(reading)
    _, said = process.communicate(timeout=240)
    assert process.returncode == 141, said
    assert said == b""


def test_what_the_library_logs_goes_to_stderr_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def logs(pattern: str) -> list[str]:
        logging.getLogger("activitynet.zoo").info("looking for %s", pattern)
        logging.getLogger("activitynet.zoo").debug("not this")
        return []

    monkeypatch.setitem(vars(activitynet), "list_models", logs)
    for _ in range(2):
        assert run(["models", "a\nb"]) == 2
        assert capsys.readouterr().err.startswith("looking for a\\nb\nerror: no model's name")
    assert logging.getLogger("activitynet").handlers == []


def test_names_in_any_script_survive_an_ascii_terminal(tmp_path: Path) -> None:
    program = (
        "import sys; sys.argv[1:] = ['evaluate', 'веса', 'данные']; from activitynet.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert rb"\u0432\u0435\u0441\u0430" in done.stderr
