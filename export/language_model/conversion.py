"""The language model of a bundle: checks a ready GGUF, or converts the checkpoint's own text model."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING

from uhd_edge.engines.extras import PACKAGES
from uhd_edge.export.checkpoint.tensors import TEXT
from uhd_edge.export.language_model.converter import converter_folder
from uhd_edge.export.language_model.idle_layer import add_idle_layer, needs_idle_layer
from uhd_edge.export.language_model.llama_process import GgufFacts, inspect_gguf, run_worker
from uhd_edge.export.language_model.quantize import UNQUANTIZED, file_type, name_of_type, quantize
from uhd_edge.export.language_model.text_checkpoint import write_text_checkpoint
from uhd_edge.export.language_model.tokenizer_check import (
    check_table,
    compare,
    load_tokenizer,
    pre_tokenizer_name,
    probes,
)
from uhd_edge.runtime.bundles.manifest import LanguageModelFile
from uhd_edge.runtime.errors import ExportError, MissingExtraError, ModelError, UhdError
from uhd_edge.runtime.llm.gguf_header import refuse_without_recurrent_layers
from uhd_edge.runtime.memory.gguf_sizes import read_gguf_sizes

if TYPE_CHECKING:
    from pathlib import Path

    from uhd_edge.export.checkpoint.checkpoint import Checkpoint
    from uhd_edge.export.language_model.text_checkpoint import Tensors

# Called with the fraction of the work that is done, from 0 to 1.
Fraction = Callable[[float], None]
GGUF = "llm.gguf"


def check_language_model(file: Path, checkpoint: Checkpoint, *, name: str) -> GgufFacts:
    """Load the GGUF `file` and check that it fits the checkpoint's connector and tokenizer.

    Messages call the file `name`. Raises `ModelError` when it does not load, takes embeddings of
    another width, has another vocabulary, no layers but those that guess tokens ahead or, as a
    Qwen3.5, none that is recurrent, and `ExportError` when it only splits text differently.
    """
    expected = probes(load_tokenizer(checkpoint.folder))
    facts = inspect_gguf(file, [probe.text for probe in expected], name=name)
    width = checkpoint.config.tower.llm_hidden
    if facts.hidden_size != width:
        raise ModelError(
            f"{name}: takes embeddings of width {facts.hidden_size}, but the checkpoint's connector makes {width}; "
            "take the language model that belongs to the checkpoint"
        )
    if facts.parts > 1:
        raise ModelError(f"{name}: is one of {facts.parts} parts; merge them first with llama-gguf-split --merge")
    if read_gguf_sizes(file).only_guesses:  # llama.cpp loads it, and crashes when a prompt is read
        raise ModelError(f"{name}: has only layers that guess tokens ahead (MTP); take the language model itself")
    remedy = "leave out --llm, and the checkpoint's own is converted, with a layer that changes nothing"
    refuse_without_recurrent_layers(file, facts.architecture, name=name, remedy=remedy)
    compare(name, expected, facts.tokens)
    return facts


def convert_language_model(
    checkpoint: Checkpoint, target: Path, *, llm_type: str, tokenizer_pre: str | None, scratch: Path, progress: Fraction
) -> None:
    """Write the checkpoint's text model to the GGUF `target` with weights of `llm_type`.

    `tokenizer_pre` is llama.cpp's name for the checkpoint's pre-tokenizer. If it is None, the name
    is looked up by the rules in `tokenizer.json`. `scratch` is an empty folder for intermediate
    files, with space for two copies of the text model. Raises `ExportError` or `CheckpointError`.
    """
    file_type(llm_type)
    require_converter()
    progress(0.0)
    check_table(checkpoint.folder, checkpoint.config.text.vocab_size)
    pre = tokenizer_pre or pre_tokenizer_name(checkpoint.folder)
    converter_folder()  # fetch it now, so that a failure comes before the long work
    text_model = scratch / "text"
    _write_text_model(checkpoint, text_model)
    progress(0.2)
    if llm_type in UNQUANTIZED:
        _convert(text_model, target, outtype=llm_type, pre=pre, watch=_growth(target, text_model, progress))
    else:
        plain = scratch / "plain.gguf"
        between = _plain_type(checkpoint)
        _convert(text_model, plain, outtype=between, pre=pre, watch=_growth(plain, text_model, progress))
        shutil.rmtree(text_model)
        quantize(plain, target, llm_type, watch=lambda: progress(0.9))
    progress(1.0)


def _write_text_model(checkpoint: Checkpoint, folder: Path) -> None:
    config, content = checkpoint.config, checkpoint.config.text_config
    tensors: Tensors = checkpoint
    if needs_idle_layer(config.text):
        content, tensors = add_idle_layer(config.text, content, checkpoint)
    write_text_checkpoint(checkpoint.folder, tensors, content, folder)


def require_converter() -> None:
    """Raise `MissingExtraError` unless what llama.cpp's converter imports is installed."""
    packages = {name: PACKAGES["export"][name] for name in ("gguf", "torch", "transformers")}
    missing = [package for name, package in packages.items() if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"converting the checkpoint's language model needs {', '.join(missing)}: pip install 'uhd-edge[export]', "
            "or give a ready one with --llm FILE.gguf"
        )


def describe(facts: GgufFacts, llm_type: str | None) -> LanguageModelFile:
    """What the manifest says about the model. With `llm_type` None, the type is read from the GGUF."""
    return LanguageModelFile(
        file=GGUF,
        architecture=facts.architecture,
        type=llm_type or name_of_type(facts.file_type),
        hidden_size=facts.hidden_size,
        vocabulary_size=facts.vocabulary_size,
    )


def _convert(source: Path, target: Path, *, outtype: str, pre: str | None, watch: Callable[[], None]) -> None:
    def not_converted(reason: str) -> UhdError:
        if "pre-tokenizer was not recognized" in reason:
            return ExportError(
                "llama.cpp's converter does not know the checkpoint's tokenizer; name its pre-tokenizer with "
                "--tokenizer-pre, such as qwen2 (Qwen2, Qwen3) or qwen35 (Qwen3.5)"
            )
        return ExportError(f"llama.cpp's converter failed: {reason}; give a ready language model with --llm FILE.gguf")

    options = ["--outfile", str(target.resolve()), "--outtype", outtype]
    if json.loads((source / "config.json").read_text(encoding="utf-8"))["model_type"] == "qwen3_5_text":
        options.append("--no-mtp")  # or else it refuses a checkpoint without layers for multi-token prediction
    arguments = ("convert", str(converter_folder()), pre or "", str(source.resolve()), *options)
    run_worker(*arguments, error=not_converted, folder=target.parent, watch=watch)


def _plain_type(checkpoint: Checkpoint) -> str:
    """The type to quantize from: the checkpoint's own precision, so that no weight is rounded twice."""
    name = str(checkpoint.tensor(f"{TEXT}embed_tokens.weight").dtype)
    return {"float16": "f16", "bfloat16": "bf16"}.get(name, "f32")


def _growth(target: Path, source: Path, progress: Fraction) -> Callable[[], None]:
    """Report the growth of `target` as progress from 0.2 to 0.8. In the end it is about as large as `source`."""
    expected = sum(file.stat().st_size for file in source.iterdir())

    def watch() -> None:
        if target.exists():
            progress(0.2 + 0.6 * min(target.stat().st_size / expected, 1.0))

    return watch
