"""A bundle's language model, opened and compared with what the bundle says of it.

A GGUF of another model would load but answer nonsense: its embeddings have another meaning,
its special tokens other ids. So the file is checked against the manifest once, at the start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from uhd_edge.runtime.errors import ModelError
from uhd_edge.runtime.llm.language_model import LanguageModel

if TYPE_CHECKING:
    from uhd_edge.runtime.bundles.bundle import Bundle
    from uhd_edge.runtime.bundles.manifest import Manifest
    from uhd_edge.runtime.llm.llama_loading import GpuLayers


def open_language_model(
    bundle: Bundle,
    *,
    context: int = 4096,
    threads: int | None = None,
    gpu_layers: GpuLayers = "auto",
    conversations: int = 1,
) -> LanguageModel:
    """Open the bundle's GGUF; see `LanguageModel`. Raises `ModelError` when it is not the manifest's.

    A file of the size recorded in the manifest is assumed loadable, as it was when the bundle
    was exported. `uhd inspect` finds a copy that was damaged in place; that check takes longer
    than a start should.
    """
    model = LanguageModel(
        bundle.llm_path,
        context=context,
        threads=threads,
        gpu_layers=gpu_layers,
        vocabulary_is_sound=_is_as_exported(bundle),
        conversations=conversations,
    )
    try:
        _require_match(model, bundle.manifest)
    except BaseException:
        model.close()
        raise
    return model


def _is_as_exported(bundle: Bundle) -> bool:
    record = bundle.manifest.files.get(bundle.manifest.llm.file)
    try:
        return record is not None and bundle.llm_path.stat().st_size == record.bytes
    except OSError:
        return False  # opening it says what is wrong


def _require_match(model: LanguageModel, manifest: Manifest) -> None:
    for what, found, expected in (
        ("embeddings of width", model.width, manifest.llm.hidden_size),
        ("a vocabulary of", model.vocabulary.size, manifest.llm.vocabulary_size),
    ):
        if found != expected:
            raise ModelError(
                f"{model.path}: this language model has {what} {found}, but the bundle was made for {expected}; "
                "export the bundle again"
            )
    if model.has_canvas != manifest.prompt.canvas:
        has, wants = ("", "without") if model.has_canvas else ("no ", "with")
        raise ModelError(
            f"{model.path}: this language model has {has}positions on a canvas, but the bundle was made {wants} them; "
            "export the bundle again"
        )
    split = [text for text in manifest.prompt.tokens.model_dump().values() if len(model.vocabulary.tokenize(text)) != 1]
    if split:
        raise ModelError(
            f"{model.path}: this language model does not know the special tokens {', '.join(split)}; "
            "export the bundle again"
        )
