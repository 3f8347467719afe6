"""The code blocks of a page, found by Sybil and run one after the other.

A block that cannot run here has a comment above it that says why, which no reader of the built page sees::

    <!-- skip: next "needs the real Hub" -->
"""

from __future__ import annotations

import io
import os
import re
import shlex
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest import SkipTest

import pytest
from sybil import Document, Example, Lexeme, Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown import CodeBlockParser, SkipParser

from activitynet.cli.main import run

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

_INCLUDED = re.compile(r'--8<-- "(?P<file>[^":]+):(?P<section>\w+)"\n?')
_FOUND_SOMETHING = 1  # what `audit` ends with

#: Where a page names a network that takes minutes, a small one; in place of pretrained weights, small ones.
_SMALLER = (
    (re.compile(r"(--model |Classifier\(\")(timm/\w+|resnet\w+_se|efficientnet_b0_se)"), r"\1test_resnet_se"),
    (re.compile(r"timm/tf_efficientnet_lite0"), "start"),
    (
        re.compile(r"sample-data drawings"),
        "sample-data drawings --train-per-class 2 --val-per-class 1 --size 32",
    ),
    (
        re.compile(r'draw_sample_data\("drawings"\)'),
        'draw_sample_data("drawings", train_per_class=2, size=32)',
    ),
    (re.compile(r"--image-size \d+|image_size=\d+"), lambda found: re.sub(r"\d+", "64", found[0])),
    (
        re.compile(r"(?m)^(\$ activitynet (?:train|fine-tune|lr-find) (?!.*--model))"),
        r"\1--model test_resnet_se ",
    ),
    (re.compile(r"--tta scales"), "--tta crops"),  # small images have no other scale
    (re.compile(r"--risk 0\.\d+"), "--risk 0.999"),  # what has learned nothing can promise no less
)


@dataclass(frozen=True)
class Skipped:
    """A block that is not run.

    Attributes:
        page: The page's name.
        line: Where the block is.
        reason: Why, as the page's comment says.
    """

    page: str
    line: int
    reason: str


def smaller(source: str) -> str:
    """Return a block with small networks in it."""
    for pattern, small in _SMALLER:
        source = pattern.sub(small, source)
    return source


def parse(page: Path, monkeypatch: pytest.MonkeyPatch | None = None) -> Document:
    """Find a page's blocks; to be run, they need something that undoes what they do to variables."""
    python = PythonEvaluator()

    def evaluate_python(example: Example) -> None:
        shown = example.parsed
        text = smaller(_INCLUDED.sub(_section, shown))
        example.parsed = Lexeme(text, shown.offset, shown.line_offset)
        _run_python(example, python)

    def evaluate_console(example: Example) -> None:
        assert monkeypatch is not None
        _run_console(smaller(example.parsed), monkeypatch)

    parsers = [
        CodeBlockParser("python", evaluate_python),
        CodeBlockParser("console", evaluate_console),
        CodeBlockParser('toml title="mine.toml"', lambda example: _write("mine.toml", example.parsed)),
        SkipParser(),
    ]
    return Sybil(parsers=parsers, pattern="*.md").parse(page)


def run_page(page: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run a page's blocks in the folder that is current, and return how many there were."""
    document = parse(page, monkeypatch)
    count = 0
    for example in document.examples():
        try:
            example.evaluate()
        except SkipTest:
            continue
        except BaseException as error:
            pytest.fail(f"{page.name}, line {example.line}: {type(error).__name__}: {error}")
        count += not _is_skip(example)
    return count


def count_blocks(page: Path) -> int:
    """Count a page's blocks, those that are not run included."""
    return sum(not _is_skip(example) for example in parse(page).examples())


def skipped(page: Path) -> Iterator[Skipped]:
    """List a page's blocks that are not run."""
    for example in parse(page).examples():
        if _is_skip(example):
            _, reason = example.parsed
            yield Skipped(page.name, example.line, (reason or "").strip().strip("\"'"))


def _is_skip(example: Example) -> bool:
    return isinstance(example.parsed, tuple)


def _write(name: str, text: str) -> None:
    Path(name).write_text(text, "utf-8")


def _section(found: re.Match[str]) -> str:
    text = (ROOT / found["file"]).read_text("utf-8")
    mark = f"# --8<-- [{{}}:{found['section']}]\n"
    return text.split(mark.format("start"))[1].split(mark.format("end"))[0]


def _run_python(example: Example, python: PythonEvaluator) -> None:
    """Run Python; where the block ends with what is printed last, as a comment, that has to be so."""
    said = io.StringIO()
    with redirect_stdout(said):
        python(example)
    code, sharp, promised = example.parsed.strip().splitlines()[-1].rpartition("# ")
    if sharp and (not code or code.startswith("print(")):
        printed = said.getvalue().strip()
        assert printed.endswith(promised.removeprefix("…")), f"printed {printed!r}, and not {promised!r}"


def _run_console(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the lines behind a dollar sign; the others are what they print."""
    for line in source.replace("\\\n", " ").splitlines():
        if line.startswith("$ "):
            _run_command(shlex.split(line[2:], comments=True), line, monkeypatch)


def _run_command(words: list[str], line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program, *arguments = words
    if program == "activitynet":
        _run_activitynet(arguments, line)
    elif program == "mkdir":
        for folder in arguments:
            Path(folder).mkdir()
    elif program == "cd":
        os.chdir(arguments[0])
    elif program == "export":
        name, _, value = arguments[0].partition("=")
        monkeypatch.setenv(name, value)
    else:
        raise RuntimeError(f"{program!r} is not run here: say above the block why not.")


def _run_activitynet(arguments: list[str], line: str) -> None:
    output = None
    if ">" in arguments:
        arguments, output = arguments[: arguments.index(">")], arguments[-1]
    said, errors = io.StringIO(), io.StringIO()
    with redirect_stdout(said), redirect_stderr(errors):
        code = run(arguments)
    if output is not None:
        Path(output).write_text(said.getvalue(), "utf-8")
    if code not in ((0, _FOUND_SOMETHING) if arguments[0] == "audit" else (0,)):
        raise RuntimeError(f"{line}\nends with code {code}: {errors.getvalue()[-600:]}")
