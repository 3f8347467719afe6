from __future__ import annotations

import csv
import json
import random
import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activitynet.data.dataset import ACTIVITIES, Photo, PhotoData, slug
from activitynet.data.tables import open_table, read_rows
from activitynet.errors import DataError

ROWS: list[dict[str, Any]] = [
    {"path": "a/2.jpg", "label": "dancing", "split": "train", "group": "g1", "source": "s", "width": "9"},
    {"path": "a/1.jpg", "label": "Running", "split": "Train", "group": "g1", "source": "", "width": "9"},
    {"path": "ä 3.jpg", "label": "dancing", "split": "valid", "group": "", "source": "s", "width": "9"},
    {"path": "x, y.jpg", "label": "running", "split": "test", "group": "g2", "source": "t", "width": "9"},
]


def write_csv(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def write_jsonl(path: Path, rows: Sequence[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist(rows), path, row_group_size=3)
    return path


def write_table(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".parquet":
        return write_parquet(path, rows)
    if path.suffix == ".jsonl":
        return write_jsonl(path, rows)
    lines = [",".join(rows[0])] + [",".join(f'"{value}"' for value in row.values()) for row in rows]
    return write_csv(path, "\n".join(lines))


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_each_kind_says_the_same(kind: str, tmp_path: Path) -> None:
    data = open_table(write_table(tmp_path / f"t.{kind}", ROWS))
    assert data == PhotoData(
        classes=("dancing", "Running"),
        train=(Photo(tmp_path / "a/2.jpg", 0, "g1", "s"), Photo(tmp_path / "a/1.jpg", 1, "g1")),
        val=(Photo(tmp_path / "ä 3.jpg", 0, source="s"),),
        test=(Photo(tmp_path / "x, y.jpg", 1, "g2", "t"),),
    )


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_fault_is_named_with_its_row(kind: str, tmp_path: Path) -> None:
    rows = [{**row, "label": "jumping" if number == 3 else row["label"]} for number, row in enumerate(ROWS)]
    table = write_table(tmp_path / f"t.{kind}", rows)
    row = 5 if kind == "csv" else 4  # the header is row 1
    with pytest.raises(
        DataError, match=rf"t\.{kind}', row {row}: label 'jumping' is not one of the 2 classes"
    ):
        open_table(table)


def test_without_splits_whole_groups_are_held_out(tmp_path: Path) -> None:
    rows = [
        {"path": f"{n}.jpg", "label": f"c{n % 2}", "group": n // 4} for n in range(80)
    ]  # the groups are whole numbers
    table = write_jsonl(tmp_path / "t.jsonl", rows)
    data = open_table(table, val_fraction=0.25, seed=1)
    assert len(data.train) + len(data.val) == 80
    assert abs(len(data.val) - 20) <= 4
    assert not {photo.group for photo in data.train} & {photo.group for photo in data.val}
    assert open_table(table, val_fraction=0).val == ()
    assert open_table(table, val_fraction=0.25, seed=1) == data
    assert open_table(table, val_fraction=0.25, seed=2) != data


def test_given_classes_keep_their_places(tmp_path: Path) -> None:
    table = write_csv(tmp_path / "t.csv", "path,label\n1.jpg,home repair\n2.jpg,dancing\n")
    classes = ("walking", "Dancing", "home_repair")
    data = open_table(table, classes=classes, val_fraction=0)
    assert data.classes == classes
    assert [photo.label for photo in data.train] == [1, 2]
    with pytest.raises(DataError, match="two or more names"):
        open_table(table, classes=["dancing"])


def test_labels_of_activities_make_the_20_classes(tmp_path: Path) -> None:
    rows = [{"path": f"{name}.jpg", "label": slug(name)} for name in ACTIVITIES[5:]]
    data = open_table(
        write_jsonl(tmp_path / "t.jsonl", [{**r, "path": f"{n}.jpg"} for n, r in enumerate(rows)])
    )
    assert data.classes == ACTIVITIES


def test_a_split_to_be_measured_on_may_be_alone_and_of_one_class(tmp_path: Path) -> None:
    data = open_table(write_csv(tmp_path / "t.csv", "path,label,split\n1.jpg,a,val\n"))
    assert (data.train, len(data.val)) == ((), 1)


def test_absolute_paths_are_taken_as_they_are(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere" / "1.jpg"
    folder = tmp_path / "tables"
    folder.mkdir()
    table = write_csv(folder / "t.csv", f"path,label\n{elsewhere},a\nx/../2.jpg,b\n")
    assert [photo.path for photo in open_table(table, val_fraction=0).train] == [elsewhere, folder / "2.jpg"]


@pytest.mark.parametrize("path", ["../1.jpg", "a/../../1.jpg", ".."])
def test_relative_paths_stay_below_the_table(path: str, tmp_path: Path) -> None:
    table = write_csv(tmp_path / "t.csv", f"path,label\n0.jpg,a\n{path},b\n")
    with pytest.raises(DataError, match=r"row 3: path .* leads out of the table's folder"):
        open_table(table)


def test_csv_may_have_a_bom_blank_rows_and_quotes(tmp_path: Path) -> None:
    text = '\ufeffpath, label\r\n"a ""b"".jpg",x\r\n\r\n"c\n.jpg", y \r\n'
    data = open_table(write_csv(tmp_path / "t.csv", text), val_fraction=0)
    assert data.classes == ("x", "y")
    assert [photo.path.name for photo in data.train] == ['a "b".jpg', "c\n.jpg"]


GOOD = "path,label\n1.jpg,a\n2.jpg,b\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"is empty\. Its first row must name the columns"),
        ("path,label\n", "lists no photos"),
        ("file,label\n", "row 1: there is no column 'path' among 'file, label'"),
        ("path,labels\n", r"row 1: there is no column 'label' among .* Did you mean 'labels'"),
        ("path;label\n1.jpg;a\n", "no column 'path' .* Are its columns separated by commas"),
        ("path,label,label\n", "row 1: column 'label' occurs twice"),
        ("path,label,splits\n", r"column 'splits' is not known\. Did you mean 'split'"),
        ("path,Path,label,label\n", "row 1: column 'label' occurs twice"),
        (GOOD + "https://example.org/3.jpg,a\n", r"row 4: path .* is a URL\. Download the photo"),
        (GOOD + "C:\\photos\\3.jpg,a\n", r"row 4: path .* is a Windows path\. Write it relative"),
        (GOOD + "..\\3.jpg,a\n", r"row 4: path .* leads out of the table's folder"),
        (GOOD + "  ,a\n", "row 4: path is empty"),
        ("path,label\n1.jpg,01\n2.jpg,1\n", r"labels '01' and '1' may be one class"),
        (GOOD + "3.jpg\n", "row 4: there are 1 cells for 2 columns"),
        (GOOD + "3.jpg,a,b\n", "row 4: there are 3 cells for 2 columns"),
        (GOOD + ",a\n", "row 4: path is empty"),
        (GOOD + "3.jpg, \n", "row 4: label is empty"),
        (GOOD + "./1.jpg,b\n", r"row 4: photo './1\.jpg' is in row 2 already"),
        (GOOD + '"3.jpg,a\n', "row 4: unexpected end of data"),
        (GOOD + '"3.jpg"x,a\n', "row 4: .* expected after"),
        (GOOD + "3\0.jpg,a\n", "row 4: .*NUL"),
        (GOOD + "3.jpg," + "a" * 140_000, r"row 4: field larger than field limit"),
        (GOOD + "3.jpg," + "a" * 2**21, "line 4 has more than 1048576 bytes"),
        (GOOD.encode("utf-16"), "line 1 is not UTF-8"),
        (GOOD.encode() + "é.jpg,a\n".encode("latin-1"), "line 4 is not UTF-8"),
        ("path,label,split\n1.jpg,a,tain\n", r"row 2: split 'tain' is none of .* Did you mean 'train'"),
        ("path,label,split\n1.jpg,a,train\n2.jpg,b,\n", "row 3: split '' is none of train, val and test"),
        (
            "path,label,split,group\n1.jpg,a,train,g\n2.jpg,b,train,\n3.jpg,a,val,g\n",
            "row 4: group 'g' is in split 'val' here and in 'train' in row 2",
        ),
        ("path,label\n1.jpg,a\n2.jpg,a\n", "training photos of one class only, 'a'"),
        ("path,label\n1.jpg,tai chi\n2.jpg,Tai_Chi\n", "may be one class"),
        ("path,label,split\n1.jpg,a,train\n2.jpg,b,train\n3.jpg,c,val\n", "row 4: label 'c' is not one of"),
    ],
)
def test_a_csv_table_that_cannot_be_used_is_refused(text: str | bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message) as refusal:
        open_table(write_csv(tmp_path / "t.csv", text))
    assert "t.csv'" in str(refusal.value)
    assert "\0" not in str(refusal.value)
    assert len(str(refusal.value)) < 500


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[1]", r"row 2: it must be a JSON object, got \[1\]"),
        ("{", "row 2: it is not one JSON object"),
        ('{"path": "1.jpg"}', "row 2: there is no column 'label'"),
        ('{"path": "1.jpg", "path": "2.jpg", "label": "a"}', r"row 2: .* \(field 'path' occurs twice\)"),
        ('{"path": 1, "label": "a"}', "row 2: path must be text, got 1"),
        ('{"path": "1.jpg", "label": 3.5}', "row 2: label must be text, got 3.5"),
        ('{"path": "1.jpg", "label": true}', "row 2: label must be text, got True"),
        ('{"path": "1.jpg", "label": null}', "row 2: label is empty"),
        ('{"path": "1.jpg", "label": "a", "group": true}', "row 2: group must be text, got True"),
        ('{"path": "1.jpg", "label": "a", "group": 1.5}', "row 2: group must be text"),
        ('{"path": "1.jpg", "label": "a", "split": "val"}', "row 2: either all rows have a split, or none"),
        ('{"path": "1\\u0000.jpg", "label": "a"}', "row 2: path .* contains a NUL"),
        ('{"path": "\\ud800.jpg", "label": "a"}', "row 2: path .* is not valid Unicode"),
        ("[" * 100_000, "row 2: it is not one JSON object"),
        ('{"path": "1.jpg", "label": "a", "group": ' + "9" * 9999 + "}", "row 2: "),
    ],
)
def test_a_json_line_that_cannot_be_used_is_refused(line: str, message: str, tmp_path: Path) -> None:
    table = write_csv(tmp_path / "t.jsonl", '{"path": "0.jpg", "label": "a"}\n' + line)
    with pytest.raises(DataError, match=message) as refusal:
        open_table(table)
    assert len(str(refusal.value)) < 500


def test_blank_json_lines_count(tmp_path: Path) -> None:
    table = write_csv(
        tmp_path / "t.jsonl", '\ufeff{"path": "0.jpg", "label": "a"}\n\n{"path": "", "label": "a"}'
    )
    with pytest.raises(DataError, match="row 3: path is empty"):
        open_table(table)


def test_parquet_without_pyarrow_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    table = write_csv(tmp_path / "t.parquet", b"PAR1")
    with pytest.raises(DataError, match="pip install pyarrow"):
        open_table(table)


def test_a_damaged_parquet_table_is_refused(tmp_path: Path) -> None:
    good = write_parquet(tmp_path / "t.parquet", ROWS * 1).read_bytes()
    for content in (b"", b"PAR1", good[:-20], good[: len(good) // 2], good[:60] + b"\xff" * 40 + good[100:]):
        with pytest.raises(DataError, match=r"t\.parquet'"):
            open_table(write_csv(tmp_path / "t.parquet", content))
    write_parquet(tmp_path / "t.parquet", [{"path": "1.jpg", "lable": "a"}])
    with pytest.raises(DataError, match=r"no column 'label' among .* Did you mean 'lable'"):
        open_table(tmp_path / "t.parquet")
    write_parquet(tmp_path / "t.parquet", [{"path": "1.jpg", "label": 5.5}])
    with pytest.raises(DataError, match=r"row 1: label must be text, got 5\.5"):
        open_table(tmp_path / "t.parquet")


def test_a_table_that_is_not_there_or_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"t\.csv': No such file"):
        open_table(tmp_path / "t.csv")
    with pytest.raises(DataError, match=r"must end in \.csv or \.jsonl or \.parquet"):
        open_table(write_csv(tmp_path / "t.xlsx", GOOD))
    (tmp_path / "d.csv").mkdir()
    with pytest.raises(DataError, match="Is a directory"):
        open_table(tmp_path / "d.csv")


def test_rows_of_other_columns_can_be_read(tmp_path: Path) -> None:
    table = write_csv(tmp_path / "t.csv", "img_id,target_feature,splits\n7,3,x\n")
    rows = list(read_rows(table, ("img_id", "target_feature")))
    assert rows == [(2, {"img_id": "7", "target_feature": "3", "splits": "x"})]


PLAIN = {
    "csv": "".join(["path,label,split,group\n", *(f'"{n}.jpg",c{n % 3},train,g{n}\n' for n in range(9))]),
    "jsonl": "".join(
        json.dumps({"path": f"{n}.jpg", "label": f"c{n % 3}", "group": n}) + "\n" for n in range(9)
    ),
}


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), kind=st.sampled_from(["csv", "jsonl"]))
def test_damaged_tables_are_read_or_refused(
    seed: int, kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rng = random.Random(seed)
    content = bytearray(PLAIN[kind].encode())
    for _ in range(rng.choice([1, 2, 8])):
        place = rng.randrange(len(content))
        content[place : place + rng.choice([0, 1, 1, 5])] = bytes(
            [rng.choice([0, 10, 34, 44, rng.randrange(256)])]
        )
    table = tmp_path_factory.mktemp("table") / f"t.{kind}"
    message = f"t.{kind}"
    try:
        open_table(write_csv(table, bytes(content)), val_fraction=0)
    except DataError as error:
        message = str(error)
    assert f"t.{kind}" in message


labels = ["ä b", "c,d", 'e"f', "g"]
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20).map(str.strip)
rows = st.lists(
    st.fixed_dictionaries(
        {"label": st.sampled_from(["ä b", "c,d", 'e"f', "g"]), "group": texts, "source": texts}
    ),
    min_size=1,
    max_size=9,
)


@settings(max_examples=100, deadline=None)
@given(
    rows=rows,
    paths=st.lists(texts, min_size=9, max_size=9),
    kind=st.sampled_from(["csv", "jsonl", "parquet"]),
)
def test_what_is_written_is_read(
    rows: list[dict[str, str]], paths: list[str], kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("table")
    rows = [
        {"path": f"{number}/{path.replace('/', '').strip('.')}x", **row, "split": "val"}
        for number, (path, row) in enumerate(zip(paths, rows, strict=False))
    ]
    table = folder / f"t.{kind}"
    if kind == "csv":
        with table.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        write_table(table, rows)
    data = open_table(table, classes=labels)
    found = {(str(p.path), data.classes[p.label], p.group, p.source) for p in data.val}
    groups = [unicodedata.normalize("NFC", row["group"]) for row in rows]
    assert found == {
        (str(folder / r["path"]), r["label"], group, r["source"])
        for r, group in zip(rows, groups, strict=True)
    }


@pytest.mark.parametrize(
    "line",
    [
        '{"path": "1.jpg", "label": "LONG"}',
        '{"path": "1.jpg", "label": "b", "group": "g", "split": "LONG"}',
        '{"path": "0.jpg", "label": "b", "LONG": 1}',
        '{"path": "1.jpg", "labels": "LONG"}',
    ],
)
def test_what_a_table_says_is_shown_in_part(line: str, tmp_path: Path) -> None:
    long = "x\\u2028\\u0007" * 50_000
    first = '{"path": "0.jpg", "label": "a"}\n'
    table = write_csv(tmp_path / "t.jsonl", first + line.replace("LONG", long))
    with pytest.raises(DataError, match=r"t\.jsonl'") as refusal:
        open_table(table, classes=["a", "b"])
    assert len(str(refusal.value)) < 700
    assert str(refusal.value).isprintable()


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_labels_as_long_as_can_be_are_shown_in_part(kind: str, tmp_path: Path) -> None:
    rows = [{"path": "1.jpg", "label": "x" * 120_000}, {"path": "2.jpg", "label": "x" * 120_000}]
    with pytest.raises(DataError, match="one class only") as refusal:
        open_table(write_table(tmp_path / f"t.{kind}", rows))
    assert len(str(refusal.value)) < 700


def test_a_damaged_parquet_table_is_refused_on_one_line(tmp_path: Path) -> None:
    good = write_parquet(tmp_path / "t.parquet", ROWS).read_bytes()
    size = int.from_bytes(good[-8:-4], "little")
    for place in range(len(good) - 8 - size, len(good) - 8, 7):
        damaged = good[:place] + b"\x0f" + good[place + 1 :]
        message = "t.parquet'"
        try:
            open_table(write_csv(tmp_path / "t.parquet", damaged))
        except DataError as error:
            message = str(error)
        assert "t.parquet'" in message
        assert message.isprintable()


def test_labels_that_differ_in_form_alone_are_one_class(tmp_path: Path) -> None:
    text = "path,label\n1.jpg,caf\u00e9\n2.jpg,cafe\u0301\n3.jpg,1\n4.jpg,1.0\n5.jpg,1.00\n"
    data = open_table(write_csv(tmp_path / "t.csv", text), val_fraction=0)
    assert data.classes == ("1", "caf\u00e9")
    assert [photo.label for photo in data.train] == [0, 0, 0, 1, 1]
    exact = open_table(tmp_path / "t.csv", classes=["cafe\u0301", "1.0", "1"], val_fraction=0)
    assert [photo.label for photo in exact.train] == [0, 0, 1, 2, 2]  # names that are there go first


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
@pytest.mark.parametrize("number", [int, float])
def test_whole_numbers_are_names(kind: str, number: type, tmp_path: Path) -> None:
    rows = [{"path": f"{n}.jpg", "label": number(n % 3 + 7), "group": number(n)} for n in range(6)]
    data = open_table(write_table(tmp_path / f"t.{kind}", rows), val_fraction=0)
    assert data.classes == ("7", "8", "9")
    assert {photo.group for photo in data.train} == set("012345")


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_columns_are_known_in_any_case(kind: str, tmp_path: Path) -> None:
    rows = [{"Path": f"{n}.jpg", "LABEL": "ab"[n], "Group": f"g{n}", "Split": "Training"} for n in range(2)]
    data = open_table(write_table(tmp_path / f"t.{kind}", rows), val_fraction=0)
    assert [(photo.path.name, photo.group) for photo in data.train] == [("0.jpg", "g0"), ("1.jpg", "g1")]
    # What has the exact name goes before.
    rows = [{"path": f"{n}.jpg", "label": "ab"[n], "Path": "x"} for n in range(2)]
    assert len(open_table(write_table(tmp_path / f"u.{kind}", rows), val_fraction=0).train) == 2


@pytest.mark.parametrize(
    ("there", "written"),
    [
        ("a/1.jpg", "a\\1.jpg"),
        ("a/1.jpg", " a/1.jpg "),
        ("a/1.JPG", "a/1.jpg"),
        ("a/1.jpg", "a/1.JPG"),
        ("a/1.Jpeg", " a\\1.jpeg"),
        ("a/caf\u00e9.jpg", "a/cafe\u0301.jpg"),
        ("a/ 1.jpg", "a/ 1.jpg"),
    ],
)
def test_a_path_that_is_written_otherwise_finds_its_file(there: str, written: str, tmp_path: Path) -> None:
    file = tmp_path / there
    file.parent.mkdir()
    file.touch()
    table = write_csv(tmp_path / "t.csv", f'path,label\n"{written}",a\nb.jpg,b\n')
    assert open_table(table, val_fraction=0).train[0].path == file


def test_of_two_files_that_a_path_may_mean_none_is_taken(tmp_path: Path) -> None:
    for name in ("1.JPG", "1.Jpg", "2.jpg", "2.JPG"):
        (tmp_path / name).touch()
    table = write_csv(tmp_path / "t.csv", "path,label\n1.jpg,a\n2.JPG,b\n")
    assert [photo.path.name for photo in open_table(table, val_fraction=0).train] == ["1.jpg", "2.JPG"]


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    table = write_csv(tmp_path / "t.csv", "path,label\n~/1.jpg,a\n~x.jpg,b\n")
    assert [photo.path for photo in open_table(table, val_fraction=0).train] == [
        tmp_path / "home" / "1.jpg",
        tmp_path / "~x.jpg",
    ]
