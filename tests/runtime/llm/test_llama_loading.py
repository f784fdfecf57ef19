"""Loading a model's file: what is refused, with llama.cpp's reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from uhd_edge.runtime.errors import ModelError, OptionError
from uhd_edge.runtime.llm.language_model import LanguageModel
from uhd_edge.runtime.llm.llama_library import llama_library

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda _data: b"", "not a GGUF file"),
        (lambda data: b"\x89PNG" + data[4:], "not a GGUF file"),
        (lambda data: data[:20], "failed to read"),
        (lambda data: data[: len(data) // 2], "not within the file bounds"),
        (lambda data: data[:-1], "not within the file bounds"),
        (lambda data: data.replace(b"<slice>", b"<image>"), "has the token .<image>. twice"),
        (lambda data: data.replace(b"<slice>", b"a\0lice>"), "has the token .a. twice"),
        (lambda data: data.replace(b"blk.1.attn_q.weight", b"blk.1.attn_x.weight"), "blk.1.attn_q.weight"),
        (lambda data: data.replace(b"qwen3", b"qwen9").replace(b"qwen2vl", b"qwen9vl"), "unknown model architecture"),
    ],
)
def test_a_broken_file_is_one_error_with_llama_cpps_reason(
    path: Path, tmp_path: Path, damage: Any, reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ModelError, match=reason) as caught:
        LanguageModel(broken, threads=1)
    assert str(broken) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


def test_a_missing_file_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="No such file"):
        LanguageModel(tmp_path / "none.gguf")


@pytest.mark.parametrize("setting", [{"context": 0}, {"threads": 0}, {"threads": 10**6}, {"gpu_layers": -2}])
def test_a_setting_without_sense_is_refused_by_name(path: Path, setting: dict[str, int]) -> None:
    (name,) = setting
    with pytest.raises(OptionError, match=rf"^{name} is "):
        LanguageModel(path, **setting)


def test_layers_on_a_gpu_need_a_build_that_has_one(path: Path) -> None:
    if llama_library().api.llama_supports_gpu_offload():
        pytest.skip("this build of llama.cpp has a GPU")
    with pytest.raises(ModelError, match=r"^--gpu-layers all: .* built without GPU support"):
        LanguageModel(path, gpu_layers=-1)
