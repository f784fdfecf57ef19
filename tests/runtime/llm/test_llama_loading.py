"""Loading a model's file: what is refused, with llama.cpp's reason."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from uhd_edge.runtime.errors import ModelError, OptionError
from uhd_edge.runtime.llm import llama_library as llama_library_module
from uhd_edge.runtime.llm import llama_loading
from uhd_edge.runtime.llm.language_model import LanguageModel
from uhd_edge.runtime.llm.llama_library import (
    LlamaGpus,
    choose_gpu_layers,
    describe_place,
    find_gpus,
    llama_library,
)

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


@pytest.mark.parametrize("layers", ["all", True, 1.5, None])
def test_gpu_layers_that_are_no_number_are_refused(path: Path, layers: Any) -> None:
    with pytest.raises(OptionError, match=r"^gpu_layers is "):
        LanguageModel(path, gpu_layers=layers)


without_a_gpu = pytest.mark.skipif(
    llama_library().api.llama_supports_gpu_offload(), reason="this build of llama.cpp has a GPU"
)


@without_a_gpu
def test_layers_on_a_gpu_need_a_build_that_has_one(path: Path) -> None:
    with pytest.raises(ModelError, match=r"^--gpu-layers all: .* built without GPU support; use auto or 0"):
        LanguageModel(path, gpu_layers=-1)


@without_a_gpu
def test_auto_puts_no_layers_on_a_gpu_that_is_not_there(path: Path) -> None:
    assert find_gpus(llama_library().api) == LlamaGpus((), ())
    with LanguageModel(path, threads=1) as model:
        assert (model.gpu_layers, model.notes) == (0, ())


@without_a_gpu
def test_auto_leaves_out_a_gpu_that_the_model_cannot_be_put_on_and_says_why(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llama_loading, "find_gpus", lambda _api: LlamaGpus(("Tesla T4",), ("CUDA",)))
    with LanguageModel(path, threads=1) as model:
        assert model.gpu_layers == 0
        assert model.notes[0].startswith("llama.cpp found Tesla T4, and no layers are on it: --gpu-layers all: ")


@pytest.mark.parametrize(
    ("gpus", "gpu_layers", "place"),
    [
        (LlamaGpus(("RTX 4090",), ("CUDA",)), -1, "RTX 4090 (CUDA), 25 of 25 layers"),
        (LlamaGpus(("RTX 4090",), ("CUDA",)), 10, "RTX 4090 (CUDA), 10 of 25 layers"),
        (LlamaGpus(("RTX 4090",), ("CUDA",)), 99, "RTX 4090 (CUDA), 25 of 25 layers"),
        (LlamaGpus(("a GPU",)), -1, "a GPU, 25 of 25 layers"),
        (LlamaGpus(("RTX 4090",), ("CUDA",)), 0, "CPU"),
        (LlamaGpus((), ("CUDA",)), -1, "CPU"),
    ],
)
def test_the_place_names_the_gpu_what_llama_cpp_was_built_for_and_the_layers(
    gpus: LlamaGpus, gpu_layers: int, place: str
) -> None:
    assert describe_place(gpus, gpu_layers, layers=24) == place


class PretendedGgml:
    """ggml's functions on a machine with these devices, a type and a name each; 0 is a CPU."""

    def __init__(self, devices: list[tuple[int, bytes]], backends: list[bytes]) -> None:
        self.ggml_backend_dev_count = lambda: len(devices)
        self.ggml_backend_dev_get = lambda index: index
        self.ggml_backend_dev_type = lambda index: devices[index][0]
        self.ggml_backend_dev_description = lambda index: devices[index][1]
        self.ggml_backend_reg_count = lambda: len(backends)
        self.ggml_backend_reg_get = lambda index: index
        self.ggml_backend_reg_name = lambda index: backends[index]


CPU, GPU, INTEGRATED = (0, b"Ryzen"), (1, b"RTX 4090"), (2, b"Radeon 780M")


@pytest.mark.parametrize(
    ("devices", "built", "layers", "reason"),
    [
        ([CPU, GPU, INTEGRATED], [b"CUDA", b"CPU"], -1, "found RTX 4090"),
        ([CPU, INTEGRATED], [b"Vulkan", b"CPU"], -1, "found Radeon 780M"),
        ([GPU, GPU, CPU], [b"CUDA", b"CPU"], -1, "found RTX 4090, RTX 4090"),
        ([CPU], [b"CUDA", b"CPU"], 0, "was built for CUDA, and finds no GPU"),
        ([CPU], [b"BLAS", b"CPU"], 0, "was built without GPU support"),
    ],
)
def test_auto_takes_all_layers_where_llama_cpp_finds_a_gpu(
    devices: list[tuple[int, bytes]],
    built: list[bytes],
    layers: int,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(llama_library_module, "_ggml", lambda: PretendedGgml(devices, built))
    api = SimpleNamespace(llama_supports_gpu_offload=lambda: layers != 0)
    chosen = choose_gpu_layers(find_gpus(api))
    assert chosen.count == layers
    assert reason in chosen.reason
