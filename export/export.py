"""Exports a checkpoint to a bundle: the language model first, then the graphs, then the manifest."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, get_args

from pydantic import JsonValue, TypeAdapter

from uhd_edge.export.bundle_manifest import bundle_name, make_manifest
from uhd_edge.export.bundle_writer import BundleWriter
from uhd_edge.export.checkpoint.checkpoint import open_checkpoint
from uhd_edge.export.checkpoint.derived import refuse_pointers
from uhd_edge.export.disk_space import bytes_to_convert, bytes_to_copy, check_disk_space
from uhd_edge.export.finished_steps import inputs_of
from uhd_edge.export.language_model.canvas_sections import move_time_to_fourth
from uhd_edge.export.language_model.conversion import (
    GGUF,
    check_language_model,
    convert_language_model,
    describe,
    require_converter,
)
from uhd_edge.export.language_model.quantize import file_type
from uhd_edge.export.language_model.tokenizer_check import check_markers, load_tokenizer
from uhd_edge.runtime.bundles.bundle import Bundle
from uhd_edge.runtime.bundles.manifest import GraphKind, Graphs, Prompt
from uhd_edge.runtime.errors import CheckpointError, ExportError, ModelError
from uhd_edge.runtime.modes import Mode, Precision

if TYPE_CHECKING:
    from uhd_edge.engines.unfinished import Tell
    from uhd_edge.export.checkpoint.checkpoint import Checkpoint
    from uhd_edge.runtime.bundles.manifest import LanguageModelFile, Origin

# Called with the name of the step and the fraction done, from 0 to 1.
Progress = Callable[[str, float], None]
Choice = TypeVar("Choice", Mode, Precision)

# Fractions at which the graphs begin and end. The language model comes before them, the manifest after them.
GRAPHS_BEGIN, GRAPHS_END = 0.5, 0.95
EXPORTED_PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16")
TURN_END = "<|im_end|>"

GRAPHS = TypeAdapter(dict[Mode, dict[GraphKind, Graphs]])


def export_bundle(
    source: str | Path,
    target: str | Path,
    *,
    base: str | Path | None = None,
    llm: str | Path | None = None,
    llm_type: str = "f16",
    modes: Sequence[Mode] | None = None,
    precisions: Sequence[Precision] = EXPORTED_PRECISIONS,
    tokenizer_pre: str | None = None,
    name: str | None = None,
    progress: Progress = lambda _stage, _fraction: None,
    overwrite: bool = False,
    tell: Tell = lambda _line: None,
    origin: Origin | None = None,
) -> Bundle:
    """Export the checkpoint `source`, a folder or a Hugging Face name, into the bundle folder `target`.

    `source` may also be a state dict that torch has saved (`.pt`). All but its weights then comes
    from its base model `base`, a folder or a name. `llm` is a ready GGUF; it is checked and copied
    unchanged. Without it, the checkpoint's own text model is converted to `llm_type` (see
    `uhd_edge.export.language_model.quantize.FILE_TYPES`). `modes` are all that the checkpoint has,
    unless they are given. `tokenizer_pre` is llama.cpp's name for the pre-tokenizer, needed only
    where it is not recognized. `name` is the bundle's name; by default it is the source's. An
    existing bundle is replaced only with `overwrite`, and only when the new one is complete. The
    files that a killed export to the same target had finished are used if they were made from the
    same checkpoint, with the same settings. `progress` is called with the name of each step and the
    fraction done. `tell` is called with one line about such files, and about each folder of a
    killed export that was removed. `origin` is recorded in the bundle.

    Raises `CheckpointError`, `ModelError`, `ExportError` or `OutputError`, each with a message of
    one line. After any exception nothing is left behind.
    """
    modes = None if modes is None else _chosen(modes, get_args(Mode), "mode")
    precisions = _chosen(precisions, EXPORTED_PRECISIONS, "precision")
    llm_type = llm_type.lower()
    file_type(llm_type)
    ready = None if llm is None else Path(llm).expanduser()
    if ready is None:
        require_converter()
    progress("checkpoint", 0.0)
    with (
        BundleWriter(Path(target), overwrite=overwrite, tell=tell) as writer,
        open_checkpoint(source, base=base) as checkpoint,
    ):
        modes = _modes(checkpoint, modes)
        prompt = _prompt(checkpoint)
        writer.inputs = inputs_of(checkpoint.folder, checkpoint.weights)
        if ready is None:
            needed = bytes_to_convert(checkpoint, llm_type, precisions) - writer.taken_bytes()
            check_disk_space(writer.folder, needed)
            model = _converted(checkpoint, writer, llm_type, tokenizer_pre, progress)
        else:
            model = _copied(checkpoint, writer, ready, precisions, progress)
        graphs = _graphs(checkpoint, writer, modes, precisions, progress)
        progress("manifest", GRAPHS_END)
        manifest = make_manifest(checkpoint, name or bundle_name(source), prompt, graphs, model)
        bundle = writer.finish(manifest.model_copy(update={"origin": origin}))
    progress("done", 1.0)
    return bundle


def _chosen(given: Sequence[Choice], valid: Sequence[Choice], what: str) -> list[Choice]:
    """Drop repetitions; raises `ExportError` if a choice is unknown, or if there is none."""
    chosen = list(dict.fromkeys(given))
    unknown = [choice for choice in chosen if choice not in valid]
    if unknown or not chosen:
        named = f"no {what} {', '.join(map(repr, unknown))}" if unknown else f"no {what} given"
        raise ExportError(f"{named}; valid are {', '.join(valid)}")
    return chosen


def _modes(checkpoint: Checkpoint, given: Sequence[Mode] | None) -> Sequence[Mode]:
    """Return the modes to export; raises `ExportError` for one that the checkpoint does not have."""
    has = checkpoint.config.modes
    missing = [mode for mode in given or () if mode not in has]
    if missing:
        raise ExportError(
            f"{checkpoint.folder}: has no mode {', '.join(missing)}: without a compressor in its tower there is only "
            f"{', '.join(has)}, by the connector"
        )
    return has if given is None else given


def _prompt(checkpoint: Checkpoint) -> Prompt:
    """Check that the tokenizer has the prompt's tokens, and add the end of a turn to the stop tokens."""
    prompt = checkpoint.processor.prompt
    tokenizer = load_tokenizer(checkpoint.folder)
    missing = [text for text in prompt.tokens.model_dump().values() if tokenizer.token_to_id(text) is None]
    if missing:
        raise CheckpointError(f"{checkpoint.folder}: the tokenizer has no token {', '.join(missing)}")
    if checkpoint.config.has_canvas:
        check_markers(checkpoint, prompt.tokens)
        prompt = prompt.model_copy(update={"canvas": True})
    if type(tokenizer.normalizer).__name__ == "NFC":
        prompt = prompt.model_copy(update={"normalization": "NFC"})
    end = tokenizer.token_to_id(TURN_END)
    if end is None or end in prompt.stop_ids or TURN_END not in prompt.chat_template:
        return prompt
    return prompt.model_copy(update={"stop_ids": (*prompt.stop_ids, end)})


def _copied(
    checkpoint: Checkpoint, writer: BundleWriter, llm: Path, precisions: Sequence[Precision], progress: Progress
) -> LanguageModelFile:
    progress("language model: checking", 0.05)
    refuse_pointers([llm], ModelError)
    facts = check_language_model(llm, checkpoint, name=str(llm))
    check_disk_space(writer.folder, bytes_to_copy(checkpoint, llm, precisions))
    progress("language model: copying", 0.1)
    if checkpoint.config.has_canvas:
        shutil.copyfile(llm, writer.folder / GGUF)
        move_time_to_fourth(writer.folder / GGUF, name=str(llm))
    else:
        writer.copy(llm, GGUF)
    return describe(facts, None)


def _converted(
    checkpoint: Checkpoint,
    writer: BundleWriter,
    llm_type: str,
    tokenizer_pre: str | None,
    progress: Progress,
) -> LanguageModelFile:
    target = writer.folder / GGUF

    def convert() -> None:
        convert_language_model(
            checkpoint,
            target,
            llm_type=llm_type,
            tokenizer_pre=tokenizer_pre,
            scratch=writer.scratch,
            progress=lambda fraction: progress("language model: converting", 0.95 * GRAPHS_BEGIN * fraction),
        )
        if checkpoint.config.has_canvas:
            move_time_to_fourth(target, name="the converted language model")
        writer.clear_scratch()  # the graphs need the space

    writer.step("language-model", {"type": llm_type, "tokenizer": tokenizer_pre or ""}, convert)
    progress("language model: checking", 0.95 * GRAPHS_BEGIN)
    facts = check_language_model(target, checkpoint, name="the converted language model")
    return describe(facts, llm_type)


def _graphs(
    checkpoint: Checkpoint,
    writer: BundleWriter,
    modes: Sequence[Mode],
    precisions: Sequence[Precision],
    progress: Progress,
) -> dict[Mode, dict[GraphKind, Graphs]]:
    """Write the graphs, those of one precision after those of another: each is a step of its own."""
    from uhd_edge.export.graphs.graphs import write_graphs

    steps = len(precisions) * 2  # the connector and the encoder
    begun = itertools.count()

    def next_step(stage: str) -> None:
        progress(f"graphs: {stage}", GRAPHS_BEGIN + (GRAPHS_END - GRAPHS_BEGIN) * min(next(begun) / steps, 1.0))

    graphs: dict[Mode, dict[GraphKind, Graphs]] = {mode: {} for mode in modes}
    for precision in precisions:

        def write(only: Precision = precision) -> JsonValue:
            written = write_graphs(checkpoint, writer.folder, modes=modes, precisions=[only], progress=next_step)
            dumped: JsonValue = GRAPHS.dump_python(written, mode="json")
            return dumped

        found = writer.step(f"graphs-{precision}", {"modes": ",".join(modes)}, write)
        for mode, of_mode in GRAPHS.validate_python(found).items():
            graphs[mode] |= of_mode
    return graphs
