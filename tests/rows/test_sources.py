"""Pictures are found wherever they lie, in one order; what holds none is one line that says why."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from pathlib import Path
from typing import IO

import pytest
from support.images.files import encoded, picture

from uhd_edge.rows.errors import DataSetError
from uhd_edge.rows.row import RawRow
from uhd_edge.rows.source import open_source

PNG = encoded(picture())


def rows(given: Path | str, **columns: str) -> list[RawRow]:
    source = open_source(str(given), columns)
    read = list(source.read(0))
    assert source.count() == len(read)
    assert [row.pictures for row in source.read(0)] == [row.pictures for row in read]  # again from the beginning
    return read


def images(given: Path | str) -> list[str]:
    return [str(row.values["image"]) for row in rows(given)]


def write_tar(file: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(file, "w") as tar:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pictures, one of them in a folder below, and what is left out."""
    (tmp_path / "photos" / "b").mkdir(parents=True)
    (tmp_path / "photos" / ".trash").mkdir()
    for name in ("z.PNG", "b/a.jpg", "notes.md", ".hidden.png", ".trash/old.png"):
        (tmp_path / "photos" / name).write_bytes(PNG)
    return tmp_path / "photos"


def test_a_folder_is_its_pictures_in_the_order_of_their_paths(folder: Path) -> None:
    first, second = rows(folder)
    assert (first.values, first.pictures) == ({"image": "b/a.jpg"}, (folder / "b/a.jpg",))
    assert second.pictures == (folder / "z.PNG",)


def test_a_pattern_is_the_files_that_fit_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert images(f"{folder}/**/*.*[gG]") == [f"{folder}/b/a.jpg", f"{folder}/z.PNG"]
    monkeypatch.chdir(folder)
    assert images("*/*.jpg") == ["b/a.jpg"]
    assert images("z.PNG") == ["z.PNG"]


def test_a_list_has_paths_beside_it(folder: Path) -> None:
    listed = folder / "list.txt"
    listed.write_text(f"z.PNG\n\n  {folder}/b/a.jpg\nmissing.png\n")
    assert [row.pictures for row in rows(listed)] == [
        (folder / "z.PNG",),
        (folder / "b/a.jpg",),
        (folder / "missing.png",),
    ]


def test_a_tar_is_samples_with_pictures_and_values(tmp_path: Path) -> None:
    question = json.dumps({"query": "What?", "id": 7}).encode()
    write_tar(tmp_path / "00.tar", {"a/1.jpg": PNG, "a/1.json": question, "a/2.png": PNG, "a/2.txt": b"a caption"})
    write_tar(tmp_path / "01.tar", {"b.left.png": PNG, "b.right.png": PNG + b"x", "c.txt": b"no picture"})
    first, second, third, fourth = rows(tmp_path)
    assert (first.name, first.values["query"], first.pictures) == ("7", "What?", (PNG,))
    assert (second.values, second.where) == ({"image": "00.tar/a/2"}, "00.tar, sample a/2")
    assert third.pictures == (PNG, PNG + b"x")
    assert (fourth.values, fourth.pictures) == ({"image": "01.tar/c"}, None)
    with pytest.raises(DataSetError, match="sample a/2: no column 'query'"):
        rows(tmp_path, question="query")
    packed = tmp_path / "packed.tgz"
    packed.write_bytes(gzip.compress((tmp_path / "00.tar").read_bytes()))
    assert images(packed) == ["packed.tgz/a/1", "packed.tgz/a/2"]


def test_samples_of_two_tars_differ_though_their_keys_do_not(tmp_path: Path) -> None:
    for name in ("x/00.tar", "y/00.tar"):
        (tmp_path / name).parent.mkdir()
        write_tar(tmp_path / name, {"1.png": PNG})
    assert images(tmp_path) == ["x/00.tar/1", "y/00.tar/1"]


def test_what_is_finished_of_a_tar_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("00", "01"):
        write_tar(tmp_path / f"{name}.tar", {f"{number}.png": PNG for number in range(4)})
    source, read = open_source(str(tmp_path), {}), []
    real = tarfile.TarFile.extractfile

    def counted(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes] | None:
        read.append(member.name)
        return real(tar, member)

    monkeypatch.setattr(tarfile.TarFile, "extractfile", counted)
    assert [row.values["image"] for row in source.read(6)] == ["01.tar/2", "01.tar/3"]
    assert read == ["2.png", "3.png"]


@pytest.mark.parametrize("begin", range(8))
def test_every_kind_is_read_on_from_a_number(begin: int, tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    names = [f"{number}.png" for number in range(7)]
    (tmp_path / "rows.jsonl").write_text("\n\n".join(json.dumps({"image": name}) for name in names))
    (tmp_path / "rows.tsv").write_text("index\timage_path\n" + "".join(f"{name}\t{name}\n" for name in names))
    (tmp_path / "list.txt").write_text("\n".join(names))
    for part in (slice(0, 3), slice(3, 7)):
        (tmp_path / "folder").mkdir(exist_ok=True)
        table = pyarrow.table({"image": names[part]})
        write_table(table, tmp_path / "folder" / f"test-{part.start}.parquet", row_group_size=2)
    for kind in ("rows.jsonl", "rows.tsv", "list.txt", "folder"):
        source = open_source(str(tmp_path / kind), {})
        assert list(source.read(begin)) == list(source.read(0))[begin:]
        assert source.count() == 7


def test_a_suffix_may_be_in_capitals(tmp_path: Path) -> None:
    write_tar(tmp_path / "A.TAR", {"1.png": PNG})
    (tmp_path / "LIST.TXT").write_text("x.png")
    (tmp_path / "ROWS.JSONL").write_text('{"image": "x.png"}')
    (tmp_path / "ROWS.TSV").write_text("index\timage_path\n1\tx.png\n")
    assert images(tmp_path / "A.TAR") == images(f"{tmp_path}/*.TAR") == ["A.TAR/1"]
    for name in ("LIST.TXT", "ROWS.JSONL", "ROWS.TSV"):
        assert [row.pictures for row in rows(tmp_path / name)] == [(tmp_path / "x.png",)]


def test_the_checksum_changes_with_the_names_and_sizes(folder: Path) -> None:
    before = open_source(str(folder), {}).sha256
    assert open_source(str(folder), {}).sha256 == before
    (folder / "z.PNG").write_bytes(PNG + b"x")
    changed = open_source(str(folder), {}).sha256
    (folder / "new.png").write_bytes(PNG)
    assert len({before, changed, open_source(str(folder), {}).sha256}) == 3


def test_a_pattern_may_be_tar_or_parquet_files_beside_something_else(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    for number in ("00000", "00001"):
        write_tar(tmp_path / f"{number}.tar", {f"{number}.png": PNG})
        write_table(pyarrow.table({"image": [PNG], "id": [number]}), tmp_path / f"{number}.parquet")
    assert images(f"{tmp_path}/*.tar") == ["00000.tar/00000", "00001.tar/00001"]
    assert [row.name for row in rows(f"{tmp_path}/*.parquet")] == ["00000", "00001"]
    with pytest.raises(DataSetError, match=r"in one folder; name the files, as in '.*\*.tar'"):
        rows(tmp_path)


def test_the_checksum_changes_with_the_columns_that_are_asked(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"image": [], "one": "?", "other": "!", "label": "x"}\n')
    plain, one, other, scored = (
        open_source(str(file), columns).sha256
        for columns in ({}, {"question": "one"}, {"question": "other"}, {"question": "one", "answer": "label"})
    )
    assert len({plain, one, other}) == 3
    assert scored == one


def test_what_holds_no_pictures_says_so(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "broken.tar").write_bytes(b"no tar" * 1000)
    whole = write_tar(tmp_path / "whole.tar", {"1.png": PNG * 1000, "2.png": PNG}).read_bytes()
    (tmp_path / "short.tar").write_bytes(whole[: len(PNG) * 500])
    (tmp_path / "list.tar").mkdir()
    write_tar(folder / "01.tar", {"1.png": PNG})
    (tmp_path / "json").mkdir()
    write_tar(tmp_path / "json" / "0.tar", {"1.png": PNG, "1.json": b"[1]"})
    for given, line in (
        ("list.tar", "list.tar: no pictures"),
        ("none/*.png", "no file fits this pattern"),
        ("none.png", "no such file or folder"),
        ("none.txt", "none.txt: no such file or folder"),
        ("empty.txt", "no paths in it"),
        ("broken.tar", "broken.tar: not readable as a tar file"),
        ("short.tar", "short.tar: not readable as a tar file"),
        ("photos", "tar files and pictures in one folder; name the files"),
        ("json", "sample 1: its json is an object with a question, not list"),
    ):
        with pytest.raises(DataSetError) as raised:
            rows(tmp_path / given)
        assert line in str(raised.value)
        assert "\n" not in str(raised.value)


def test_names_that_are_no_text_are_read(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png")).write_bytes(PNG)
    (row,) = rows(tmp_path)
    assert row.pictures is not None
    assert Path(str(row.pictures[0])).read_bytes() == PNG
