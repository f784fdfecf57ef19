"""What a person can get wrong, from the command line: one clear line, exit code 1, nothing on stdout."""

from __future__ import annotations

import io
import json
import shlex
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from uhd_edge.cli import main as cli
from uhd_edge.runtime.bundles.bundle import MANIFEST, Bundle


@pytest.fixture
def bundle(qwen3_bundle: Bundle, tmp_path: Path) -> Path:
    """A copy of a working bundle, to be broken."""
    return Path(shutil.copytree(qwen3_bundle.path, tmp_path / "bundle"))


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A picture that is cut into slices."""
    file = tmp_path / "picture.png"
    pixels = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
    Image.fromarray(pixels).save(file)
    return file


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def run(*arguments: object) -> str:
        capsys.readouterr()
        assert cli.exit_code([str(argument) for argument in arguments]) == 1
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.count("\n") == 1
        assert captured.err.startswith("uhd: ")
        assert "unexpected" not in captured.err
        return captured.err

    return run


def png_of_size(width: int, height: int) -> bytes:
    """A PNG whose header promises `width` x `height` pixels and holds none."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def change_manifest(bundle: Path, change: Callable[[dict], None]) -> None:
    manifest = json.loads((bundle / MANIFEST).read_text())
    change(manifest)
    (bundle / MANIFEST).write_text(json.dumps(manifest))


def replace_llm(bundle: Path, contents: bytes) -> None:
    (bundle / "llm.gguf").write_bytes(contents)
    change_manifest(bundle, lambda manifest: manifest["files"]["llm.gguf"].update(bytes=len(contents)))


def jpeg(size: tuple[int, int]) -> bytes:
    stream = io.BytesIO()
    Image.effect_noise(size, 60).convert("RGB").save(stream, "JPEG")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        (None, "no such file"),
        (b"", "empty"),
        (b"a letter to the bench", "not an image"),
        (jpeg((120, 90))[:900], "truncated"),
        (png_of_size(30_000, 30_000), "limit of 100000000 pixels"),
    ],
    ids=["missing", "empty", "not an image", "truncated", "a decompression bomb"],
)
def test_an_image_that_cannot_be_read(contents: bytes | None, said: str, bundle: Path, tmp_path: Path, refused) -> None:
    file = tmp_path / "image"
    if contents is not None:
        file.write_bytes(contents)
    error = refused("ask", file, "What is this?", "--bundle", bundle)
    assert str(file) in error
    assert said in error.lower()


@pytest.mark.parametrize("question", ["", "  \n"])
def test_an_empty_question(question: str, bundle: Path, picture: Path, refused) -> None:
    assert "question" in refused("ask", picture, question, "--bundle", bundle)


def test_more_tokens_than_the_context_holds(bundle: Path, picture: Path, refused, capsys) -> None:
    asked = ("ask", picture, "What is this?", "--bundle", bundle, "--context", 64, "--max-tokens", 2)
    error = refused(*asked)
    assert "64" in error
    fitting = int(error.split("--max-slices ")[1].split()[0].rstrip(".,;)"))
    assert cli.exit_code([str(word) for word in (*asked, "--max-slices", fitting)]) == 0
    refused(*asked, "--max-slices", fitting + 1)


def test_a_bundle_that_is_half_written(bundle: Path, picture: Path, refused) -> None:
    (bundle / "llm.gguf").unlink()
    assert "llm.gguf is missing" in refused("ask", picture, "What is this?", "--bundle", bundle)


def test_a_folder_that_is_no_bundle(tmp_path: Path, picture: Path, refused) -> None:
    assert MANIFEST in refused("ask", picture, "What is this?", "--bundle", tmp_path)


def test_a_bundle_of_another_format_version(bundle: Path, picture: Path, refused) -> None:
    change_manifest(bundle, lambda manifest: manifest.update(format=99))
    assert "format 99" in refused("ask", picture, "What is this?", "--bundle", bundle)


def test_a_bundle_whose_file_was_changed_is_found_by_inspect(bundle: Path, refused) -> None:
    weights = bytearray((bundle / "graphs" / "encoder-fp32.weights").read_bytes())
    weights[1000] ^= 1
    (bundle / "graphs" / "encoder-fp32.weights").write_bytes(weights)
    assert "encoder-fp32.weights" in refused("inspect", bundle)


def test_a_gguf_that_is_garbage(bundle: Path, picture: Path, refused) -> None:
    replace_llm(bundle, np.random.default_rng(0).bytes(100_000))
    assert "llm.gguf" in refused("ask", picture, "What is this?", "--bundle", bundle)


@pytest.mark.parametrize("share", [0.001, 0.3, 0.999])
def test_a_gguf_that_is_truncated(share: float, bundle: Path, picture: Path, refused) -> None:
    whole = (bundle / "llm.gguf").read_bytes()
    replace_llm(bundle, whole[: int(len(whole) * share)])
    assert "llm.gguf" in refused("ask", picture, "What is this?", "--bundle", bundle)


def test_a_gguf_of_another_width(bundle: Path, picture: Path, refused) -> None:
    change_manifest(bundle, lambda manifest: manifest["llm"].update(hidden_size=96))
    assert "96" in refused("ask", picture, "What is this?", "--bundle", bundle)


def test_nan_out_of_an_engine(bundle: Path, picture: Path, refused) -> None:
    weights = bundle / "graphs" / "encoder-fp32.weights"
    weights.write_bytes(b"\xff" * weights.stat().st_size)
    assert "nan" in refused("ask", picture, "What is this?", "--bundle", bundle).lower()


def test_an_engine_this_machine_does_not_have(bundle: Path, picture: Path, refused) -> None:
    error = refused("ask", picture, "What is this?", "--bundle", bundle, "--engine", "tensorrt")
    assert "onnxruntime" in error


def test_a_precision_the_bundle_does_not_have(bundle: Path, picture: Path, refused) -> None:
    error = refused("ask", picture, "What is this?", "--bundle", bundle, "--precision", "int8")
    assert "fp32" in error
    assert "fp16" in error


def test_an_output_folder_that_cannot_be_made(qwen3_checkpoint: Path, tmp_path: Path, refused) -> None:
    (tmp_path / "file").write_text("in the way")
    error = refused("export", qwen3_checkpoint, tmp_path / "file" / "bundle")
    assert str(tmp_path / "file" / "bundle") in error


def test_a_bundle_that_exists_already(qwen3_checkpoint: Path, bundle: Path, refused) -> None:
    before = (bundle / MANIFEST).read_bytes()
    assert "--force" in refused("export", qwen3_checkpoint, bundle)
    assert (bundle / MANIFEST).read_bytes() == before


def test_a_checkpoint_of_another_architecture(qwen3_checkpoint: Path, tmp_path: Path, refused) -> None:
    checkpoint = Path(shutil.copytree(qwen3_checkpoint, tmp_path / "checkpoint"))
    config = json.loads((checkpoint / "config.json").read_text())
    (checkpoint / "config.json").write_text(json.dumps({**config, "model_type": "minicpmv4_8"}))
    error = refused("export", checkpoint, tmp_path / "bundle")
    assert "minicpmv4_8" in error
    assert "minicpmv4_6" in error
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["plan", "--memory", "8GB", "--precision", "int8"], "uhd calibrate"),
        (["build", "--target", "rtx-40", "--precision", "int8"], "uhd calibrate"),
        (["ask", "PICTURE", "What?", "--precision", "int8", "--bundle"], "uhd calibrate"),
        (["ask", "PICTURE", "What?", "--engine", "tensorrt-rtx", "--bundle"], "uhd build"),
    ],
)
def test_a_command_that_a_refusal_names_can_be_pasted_whatever_the_bundle_is_called(
    arguments: list[str], command: str, *, tmp_path: Path, picture: Path, refused: Callable[..., str]
) -> None:
    named = shutil.copytree(Bundle.open().path, tmp_path / "Anna's bundle")
    said = refused(*(picture if argument == "PICTURE" else argument for argument in arguments), named)
    before, _, after = said.partition(command)
    assert before != said
    assert shlex.split(after.partition("`")[0].partition(";")[0])[0] == str(named)
