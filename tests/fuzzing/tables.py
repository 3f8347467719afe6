"""Tables that are damaged, or whose cells hold what no cell should."""

from __future__ import annotations

import datetime
import decimal
import functools
import io
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import parquet

from activitynet.data.tables import open_table
from fuzzing.mutations import LONG_TEXTS, NUMBERS, TEXTS, damaged, twisted_json

_ROWS = [
    {
        "path": f"{number}.jpg",
        "label": ("dancing", "running", "home repair")[number % 3],
        "split": ("train", "val", "test")[number // 3 % 3],
        "group": f"g{number % 9}",
        "source": "s",
    }
    for number in range(9)
]
_COLUMNS = [*_ROWS[0], "Path", "labels", "grup", "x"]
_ENCODINGS = ["utf-8"] * 8 + ["utf-8-sig", "utf-16", "utf-16-le", "latin-1", "utf-7"]


def _cells(chance: random.Random) -> str:
    return (
        chance.choice(LONG_TEXTS)
        if chance.random() < 0.05
        else chance.choice([*TEXTS, str(chance.choice(NUMBERS))])
    )


def csv_table(header: Sequence[str], rows: Sequence[Sequence[str]], chance: random.Random) -> bytes:
    """Write a CSV table with a few of its cells, quotes, separators or line ends changed."""
    lines = [list(header), *(list(row) for row in rows)]
    for _ in range(chance.choice([0, 1, 1, 2, 4])):
        row = chance.choice(lines)
        change = chance.randrange(6)
        if change == 0 and row:
            del row[chance.randrange(len(row))]
        elif change == 1:
            row.insert(chance.randrange(len(row) + 1), _cells(chance))
        elif change == 2:
            lines.insert(chance.randrange(len(lines) + 1), list(chance.choice(lines)))
        elif change == 3:
            lines[0] = [chance.choice(_COLUMNS) for _ in lines[0]]
        elif row:
            row[chance.randrange(len(row))] = _cells(chance)
    quoted = chance.random() < 0.7
    text = chance.choice(["\n", "\n", "\r\n", "\r", "\n\n"]).join(
        chance.choice([",", ",", ",", ",", ",", ";", "\t"] if chance.random() < 0.02 else [","]).join(
            '"' + cell.replace('"', '""') + '"' if quoted else cell for cell in line
        )
        for line in lines
    )
    content = text.encode(chance.choice(_ENCODINGS), "replace")
    return damaged(content, chance) if chance.random() < 0.4 else content


def _jsonl(chance: random.Random) -> bytes:
    lines = [json.dumps(row) for row in _ROWS]
    for _ in range(chance.choice([1, 1, 2])):
        number = chance.randrange(len(lines))
        if chance.random() < 0.9:
            lines[number] = twisted_json(chance.choice(_ROWS), chance, _COLUMNS)
        else:
            lines.insert(number, lines[number] * chance.randrange(3))
    content = "\n".join(lines).encode(chance.choice(_ENCODINGS), "replace")
    return damaged(content, chance) if chance.random() < 0.2 else content


def _odd_columns(chance: random.Random) -> list[Any]:
    """Nine values of a type that a label is not made of."""
    nested: Any = 1
    for _ in range(chance.choice([1, 3, 40])):
        nested = [nested] if chance.random() < 0.5 else {"a": nested}
    value = chance.choice(
        [
            1,
            None,
            True,
            0.5,
            float("nan"),
            b"\xff\xfe",
            "x" * 2**21,
            chance.choice(TEXTS),
            decimal.Decimal("1e-9"),
            datetime.datetime(2020, 1, 1),
            datetime.date(2020, 1, 1),
            datetime.timedelta(days=10**5),
            nested,
            [],
            {"a": 1},
        ]
    )
    return [value] * len(_ROWS)


@functools.cache
def _parquets() -> tuple[bytes, ...]:
    table = pyarrow.Table.from_pylist(_ROWS)
    coded = table.set_column(1, "label", table["label"].dictionary_encode())
    return tuple(
        _parquet(rows, **options)
        for rows in (table, coded)
        for options in (
            {},
            {"compression": "none", "use_dictionary": False},
            {"compression": "zstd", "row_group_size": 4, "data_page_version": "2.0"},
            {"compression": "gzip", "write_page_index": True, "write_page_checksum": True},
            {"store_schema": False, "use_dictionary": False, "column_encoding": "DELTA_BYTE_ARRAY"},
        )
    )


def _parquet(table: pyarrow.Table, **options: Any) -> bytes:
    target = io.BytesIO()
    parquet.write_table(table, target, **options)
    return target.getvalue()


def _parquet_table(chance: random.Random) -> bytes:
    if chance.random() < 0.15:
        columns: dict[str, Any] = {name: [row[name] for row in _ROWS] for name in _ROWS[0]}
        columns[chance.choice(_COLUMNS)] = _odd_columns(chance)
        return _parquet(pyarrow.table(columns))
    whole = chance.choice(_parquets())
    if chance.random() < 0.5:  # the part that says what the rest is; its length stays right
        size = int.from_bytes(whole[-8:-4], "little")
        start, footer = whole[: -8 - size], damaged(whole[-8 - size : -8], chance)
        return start + footer + len(footer).to_bytes(4, "little") + b"PAR1"
    return damaged(whole, chance, _parquets())


def write_table(chance: random.Random, folder: Path) -> Path:
    """Write a damaged table into a folder."""
    kind = chance.choice(["csv", "jsonl", "parquet"])
    if kind == "csv":
        content = csv_table(list(_ROWS[0]), [list(row.values()) for row in _ROWS], chance)
    elif kind == "jsonl":
        content = _jsonl(chance)
    else:
        content = _parquet_table(chance)
    path = folder / f"table.{kind}"
    path.write_bytes(content)
    return path


def read_table(path: Path, chance: random.Random) -> None:
    """List its photos."""
    open_table(
        path, classes=chance.choice([None, None, ["dancing", "running", "home_repair"]]), val_fraction=0.2
    )
