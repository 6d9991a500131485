"""Labels exported as CSV and imported again."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from pipeline.errors import ConfigError, LabelError
from pipeline.labels import LABEL_COLUMNS, Label, labels_of, labels_of_csv
from pipeline.support.text import csv_text
from tests.labels.test_book import SCAN, window

ROW = f"comb,{SCAN},f4,256,512,0,16,1530.1,1530.2,59000.25"
COLUMNS = "label,scan,view,channel_start,channel_stop,spectrum_start,spectrum_stop,f_start_mhz,f_stop_mhz,mjd"


def said(label: Label) -> tuple[object, ...]:
    return (label.text, label.place, label.who, label.time, round(label.f_start_mhz, 9), round(label.mjd, 9))


def test_an_export_is_imported_as_it_was(tmp_path: Path) -> None:
    labels = [label for text in ("comb", "=SUM(A1)", "a, b \"c\"", "'quoted", "–1")
              for label in labels_of([window(3), window(5, source=f"{SCAN}+f4t4")], text, "ann")]
    path = tmp_path / "labels.csv"
    path.write_text(csv_text(LABEL_COLUMNS, (label.to_json() for label in labels)))
    assert [row["label"] for row in csv.DictReader(path.read_text().splitlines())][2] == "'=SUM(A1)"

    back = labels_of_csv(path)

    assert list(map(said, back)) == list(map(said, labels))
    assert not {label.id for label in back} & {label.id for label in labels}


def test_who_and_when_may_be_missing(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(f"{COLUMNS}\n{ROW}\n")
    [label] = labels_of_csv(path)
    assert (label.text, label.source_id, label.who) == ("comb", f"{SCAN}+f4", labels_of([], "x") or label.who)
    assert label.at_s > 1.7e9


def test_a_time_may_name_its_zone(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(f"{COLUMNS},time\n{ROW},2026-05-01T12:00:00+02:00\n{ROW},2026-05-01T10:00:00\n")
    assert [label.time for label in labels_of_csv(path)] == ["2026-05-01T10:00:00Z"] * 2


@pytest.mark.parametrize(("content", "words"), [
    ("", "has no column 'label'"), ("label,scan\ncomb,x\n", "has no column 'view'"),
    (f"{COLUMNS}\n{ROW.replace('256,512', '512,512')}\n", "line 2: its channels or spectra are no range"),
    (f"{COLUMNS}\n{ROW.replace('256', '-1')}\n", "line 2: channel_start '-1' is no whole number"),
    (f"{COLUMNS}\n{ROW.replace('256', '9' * 30)}\n", "line 2: "),
    (f"{COLUMNS}\n{ROW}\n{ROW.replace('f4', 'f5')}\n", "line 3: 'f5' is no view"),
    (f"{COLUMNS}\n{ROW.replace('1530.1', 'nan')}\n", "line 2: Expected `float`"),
    (f"{COLUMNS}\n{ROW.replace('59000.25', 'x')}\n", "line 2: mjd 'x' is no number"),
    (f"{COLUMNS}\n{ROW.replace(SCAN, '')}\n", "line 2: '' is no id of a scan"),
    (f"{COLUMNS}\n,{ROW.partition(',')[2]}\n", "line 2: '' cannot be a label"),
    (f"{COLUMNS},time\n{ROW},yesterday\n", "line 2: Invalid isoformat"),
    (f"{COLUMNS}\n\"{ROW}\n", "is no CSV"),
])
def test_a_table_that_cannot_be_used_is_refused_with_its_line(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(content)
    with pytest.raises(LabelError, match=words) as refused:
        labels_of_csv(path)
    assert str(refused.value).startswith(str(path))


def test_a_table_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is not UTF-8"):
        labels_of_csv(tmp_path / "labels.csv")
