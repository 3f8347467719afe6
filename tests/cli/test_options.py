from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.table import Column

from activitynet.cli.options import PhotoProgress, RowPrinter, print_classes, print_json
from activitynet.data.dataset import PhotoData
from activitynet.errors import printable

HOSTILE = ["a\nb", "\x1b]0;title\x07", "\x9b2J", "\u202egpj.exe", "\udcff", "\r", "\x00"]


@given(st.text(st.characters(exclude_categories=[])))
def test_printable_text_prints_and_is_left_alone_where_it_did(text: str) -> None:
    assert printable(text).isprintable()
    if text.isprintable():
        assert printable(text) == text


@pytest.mark.parametrize("name", HOSTILE)
def test_rows_hold_hostile_names(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    printer = RowPrinter(Column("photo", ratio=1, overflow="fold"), Column("label", width=20))
    printer.row(name, "[red]x[/]:tada:")
    header, row = capsys.readouterr().out.splitlines()
    assert header.split() == ["photo", "label"]
    # Markup and the names of emoji are text like any other.
    assert "".join(row.split()) == printable(name).replace(" ", "") + "[red]x[/]:tada:"


def test_rows_of_one_table_line_up(capsys: pytest.CaptureFixture[str]) -> None:
    printer = RowPrinter(Column("photo", ratio=1, overflow="fold"), Column("label", width=10))
    printer.row("a", "first")
    printer.row("b" * 200, "second")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].index("label") == lines[1].index("first") == lines[2].index("second")
    assert "".join(lines).count("b") - "label".count("b") == 200


@given(st.text(st.characters(exclude_categories=[])))
def test_json_is_ascii_and_exact(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        out = io.StringIO()
        patch.setattr("sys.stdout", out)
        print_json({"source": text}, indent=None)
    line = out.getvalue()
    assert line.isascii()
    assert line.count("\n") == 1
    assert json.loads(line) == {"source": text}


def test_colour_is_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for out, coloured in ((io.StringIO(), False), (Terminal(), True)):
        monkeypatch.setattr("sys.stdout", out)
        RowPrinter(Column("F1", width=4)).row("0.5", style="red")
        assert ("\x1b[31m" in out.getvalue()) == coloured


def test_a_bar_tells_speed_and_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for err, shown in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr("sys.stderr", err)
        with PhotoProgress(lambda: range(40)) as progress:
            for done in (21, 22, 23):  # 20 were there
                progress.show(done)
        assert ("23/40" in err.getvalue()) == shown
        assert ("img/s" in err.getvalue()) == shown


def test_classes_take_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    names = ("a\nb", *(f"滑雪{number}" for number in range(90)))
    print_classes(PhotoData(names, (), (), ignored=(Path("x"), Path("y"))))
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert line.startswith(r"91 classes (2 files or folders left out): a\nb, 滑雪0")
    assert line.endswith("…")
    assert cell_len(line) <= 60
    assert captured.out == ""
