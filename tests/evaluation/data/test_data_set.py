"""Data sets of every kind become the same questions; a row that cannot be asked is one line that says where it is."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from support.places import EXAMPLES

from uhd_edge.evaluation.data.data_set import DataSet, Reading, open_data_set
from uhd_edge.rows.errors import DataSetError
from uhd_edge.rows.pictures import Base64Picture, image_input
from uhd_edge.runtime.errors import ImageError, OptionError

PICTURE = (EXAMPLES / "bench.png").read_bytes() + bytes(200_000)  # as large as a photograph
BASE64 = base64.b64encode(PICTURE).decode()
PLAIN = {"image": "a.png", "question": "What?", "answer": "this"}


def json_lines(folder: Path, *rows: dict[str, Any]) -> Path:
    file = folder / "data.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    return file


def tsv(folder: Path, *rows: list[str], name: str = "data.tsv") -> Path:
    file = folder / name
    file.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")
    return file


def opened(path: Path, **reading: Any) -> DataSet:
    return open_data_set(path, Reading(**reading))


def test_json_lines_are_read_with_what_they_name_themselves(tmp_path: Path) -> None:
    file = json_lines(
        tmp_path,
        PLAIN,
        {"id": "q7", "images": ["a.png", "b.png"], "question": "Same?", "answers": ["yes", "no"], "group": "pairs"},
        {"image": None, "question": "2 + 2?", "answer": 4, "metric": "relaxed_accuracy"},
        {"image": "a.png", "question": "Which?", "choices": ["x", "y"], "answer": 1},
        {"image": f"data:image/png;base64,{BASE64}", "question": "?", "answers": [{"answer": "y"}] * 10, "group": 3},
    )
    first, pair, text, choice, inside = opened(file).questions()
    assert (first.number, first.name, first.text, first.reference.answers) == (0, "1", "What?", ("this",))
    assert (first.metric.name, first.group, first.pictures) == ("exact_match", None, (tmp_path / "a.png",))
    assert (pair.name, len(pair.pictures), pair.reference.answers, pair.group) == ("q7", 2, ("yes", "no"), "pairs")
    assert (text.pictures, text.reference.answers, text.metric.name) == ((), ("4",), "relaxed_accuracy")
    assert (choice.metric.name, choice.reference.answers) == ("multiple_choice", ("B",))
    assert "A. x\nB. y\n" in choice.text
    assert (image_input(inside.pictures[0]), inside.reference.answers, inside.group) == (PICTURE, ("y",) * 10, "3")


def test_columns_may_have_other_names_and_a_metric_may_be_given(tmp_path: Path) -> None:
    file = json_lines(tmp_path, {"image": "a.png", "query": "What?", "label": ["x"], "human_or_machine": "human"})
    columns = {"question": "query", "answers": "label", "group": "human_or_machine"}
    (question,) = opened(file, metric="relaxed_accuracy", columns=columns).questions()
    assert (question.text, question.metric.name, question.group) == ("What?", "relaxed_accuracy", "human")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"question": None}, "data.jsonl, line 2: no question; the columns are image, question, answer"),
        ({"answer": None}, "data.jsonl, line 2: no answer; the columns are image, question, answer"),
        ({"answer": True}, "data.jsonl, line 2: the answer True is neither a text nor a number"),
        ({"answers": []}, "data.jsonl, line 2: no answer is given"),
        ({"image": 7}, "data.jsonl, line 2: an image is the path of a file or a data URI, or a list of those"),
        ({"metric": "bleu"}, "data.jsonl, line 2: no metric 'bleu'; valid are exact_match, "),
        ({"choices": ["x", "y"]}, "data.jsonl, line 2: the answer 'this' is none of the choices A, B"),
        ({"choices": ["2", "1", "0"], "answer": 2}, "data.jsonl, line 2: the answer 2 may be a choice or the place of"),
    ],
)
def test_a_row_that_cannot_be_asked_says_where_it_is_and_why(change: dict[str, Any], line: str, tmp_path: Path) -> None:
    with pytest.raises(DataSetError) as raised:
        list(opened(json_lines(tmp_path, PLAIN, PLAIN | change)).questions())
    assert str(raised.value).startswith(line)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (b'{"image": ', "not JSON .Expecting value at character 11"),
        (b"[1]", "a line is an object"),
        (b"\xff\xfe", "not JSON"),
    ],
)
def test_a_line_that_is_no_object_says_where_it_is(text: bytes, line: str, tmp_path: Path) -> None:
    file = tmp_path / "data.jsonl"
    file.write_bytes(json.dumps(PLAIN).encode() + b"\n\n" + text)
    with pytest.raises(DataSetError, match=f"data.jsonl, line 3: {line}"):
        list(opened(file).questions())


def test_a_column_that_is_missing_is_named_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(DataSetError, match="line 1: no image; the columns are question, answer"):
        list(opened(json_lines(tmp_path, {"question": "?", "answer": "x"})).questions())


def test_a_tsv_of_vlmevalkit_has_pictures_options_and_hints(tmp_path: Path) -> None:
    file = tsv(
        tmp_path,
        ["index", "image", "question", "hint", "A", "B", "C", "answer", "category"],
        ["241", BASE64, "Which?", "Look.", "red", "blue", "", "B", "colour"],
        ["1000241", "241", '"Which\tone?"', "", "blue", "red", "green", "A", "colour"],
    )
    first, second = opened(file).questions()
    assert first.text == (
        "Hint: Look.\nQuestion: Which?\nOptions:\nA. red\nB. blue\nPlease select the correct answer from the options "
        "above."
    )
    assert (first.name, first.group, first.metric.name) == ("241", "colour", "multiple_choice")
    assert [image_input(one.pictures[0]) for one in (first, second)] == [PICTURE, PICTURE]
    assert (dict(second.reference.choices)["C"], "Which\tone?" in second.text) == ("green", True)


def test_a_tsv_has_the_metric_of_its_name(tmp_path: Path) -> None:
    rows = [["index", "image", "question", "answer", "category"], ["1", BASE64, "?", "['a', \"b's\"]", "x"]]
    (question,) = opened(tsv(tmp_path, *rows, name="OCRBench_MINI.tsv")).questions()
    assert (question.metric.name, question.reference.answers) == ("ocrbench", ("a", "b's"))
    (question,) = opened(tsv(tmp_path, *rows, name="DocVQA_VAL.tsv"), metric="exact_match").questions()
    assert question.metric.name == "exact_match"


def test_a_tsv_may_name_files_and_several_pictures(tmp_path: Path) -> None:
    header = ["index", "image", "image_path", "question", "answer"]
    rows = [["1", "", "a.png", "?", "x"], ["2", f"['{BASE64}', '{BASE64}']", "", "?", "x"]]
    one, two = opened(tsv(tmp_path, header, *rows)).questions()
    assert one.pictures == (tmp_path / "a.png",)
    assert [image_input(picture) for picture in two.pictures] == [PICTURE, PICTURE]


def test_a_picture_of_a_row_that_has_none_is_found(tmp_path: Path) -> None:
    file = tsv(tmp_path, ["index", "image", "question", "answer"], ["1", "17", "?", "x"])
    with pytest.raises(DataSetError, match=r"data\.tsv, row 1: the image is that of row '17', which has none"):
        list(opened(file).questions())


def test_base64_that_is_broken_is_an_image_error() -> None:
    with pytest.raises(ImageError, match="the picture's base64 is broken"):
        image_input(Base64Picture("?" * 100))


def test_a_folder_of_parquet_is_a_data_set_of_the_hub(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    pyarrow = pytest.importorskip("pyarrow")
    folder = tmp_path / "set" / "data"
    folder.mkdir(parents=True)
    for number, answers in enumerate((["x", "y"], ["z"])):
        rows = [{"image": {"bytes": PICTURE, "path": "a.png"}, "question": f"{number}?", "answers": answers}]
        parquet.write_table(pyarrow.Table.from_pylist(rows), folder / f"test-0000{number}-of-00002.parquet")
    data = opened(tmp_path / "set")
    first, second = data.questions()
    assert (first.pictures, first.reference.answers) == ((PICTURE,), ("x", "y"))
    assert (second.number, second.text, second.reference.answers) == (1, "1?", ("z",))
    parquet.write_table(pyarrow.Table.from_pylist([{"question": "?"}]), folder / "train-00000-of-00001.parquet")
    with pytest.raises(DataSetError, match="several splits; choose one with --split: test, train"):
        opened(tmp_path / "set")
    assert opened(tmp_path / "set", split="test").sha256 == data.sha256
    with pytest.raises(DataSetError, match="no image; the columns are question"):
        list(opened(tmp_path / "set", split="train").questions())
    (folder / "train-00000-of-00001.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(DataSetError, match="not readable as parquet"):
        list(opened(tmp_path / "set", split="train").questions())


def test_what_is_no_data_set_says_what_one_is(tmp_path: Path) -> None:
    with pytest.raises(DataSetError, match=r"none\.jsonl: no such file or folder"):
        opened(tmp_path / "none.jsonl")
    with pytest.raises(DataSetError, match=r"none: no such file or folder"):
        opened(tmp_path / "none")
    (tmp_path / "data.csv").write_text("a,b")
    with pytest.raises(DataSetError, match="of no known kind; give JSON lines"):
        opened(tmp_path / "data.csv")
    with pytest.raises(DataSetError, match="no parquet files"):
        opened(tmp_path)
    with pytest.raises(DataSetError, match="only a folder of parquet files has splits"):
        opened(json_lines(tmp_path, PLAIN), split="test")
    with pytest.raises(DataSetError, match="no column 'query' is read; those that are read are image"):
        opened(json_lines(tmp_path, PLAIN), columns={"query": "question"})
    with pytest.raises(OptionError, match="no metric 'bleu'"):
        opened(json_lines(tmp_path, PLAIN), metric="bleu")


def test_the_checksum_is_that_of_the_contents(tmp_path: Path) -> None:
    before = opened(json_lines(tmp_path, PLAIN)).sha256
    assert opened(json_lines(tmp_path, PLAIN)).sha256 == before
    assert opened(json_lines(tmp_path, PLAIN, PLAIN)).sha256 != before
