"""The telling bundle with a random language model, so that it gives answers, although senseless ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from support.checkpoint_tokenizer import CHAT_TEMPLATE
from support.telling_bundle import telling_bundle
from support.tiny_gguf import HIDDEN, token_id, tokens, write_gguf

from uhd_edge.bench.synthetic.random_llm import TOKENS
from uhd_edge.runtime.bundles.bundle import MANIFEST, Bundle
from uhd_edge.runtime.bundles.manifest import record_file

if TYPE_CHECKING:
    from pathlib import Path


def bundle_of(folder: Path, *, scale_resolution: int = 112, **model: Any) -> Bundle:
    """A bundle whose embeddings have the width of its random language model."""
    bundle = telling_bundle(folder, width=HIDDEN, scale_resolution=scale_resolution)
    write_gguf(folder / "llm.gguf", **model)
    manifest = bundle.manifest
    prompt = {"chat_template": CHAT_TEMPLATE, "tokens": TOKENS, "stop_ids": (token_id("!"),)}
    llm = {"vocabulary_size": len(tokens())}
    changes = {
        "prompt": manifest.prompt.model_copy(update=prompt),
        "llm": manifest.llm.model_copy(update=llm),
    }
    return Bundle(folder, manifest.model_copy(update=changes))


def save(bundle: Bundle) -> Bundle:
    """Record the files of `bundle` as they are now, and write its manifest, so that `Bundle.open` accepts it."""
    names = [str(file.relative_to(bundle.path)) for file in bundle.path.rglob("*.*") if file.name != MANIFEST]
    files = {name: record_file(bundle.path / name) for name in names}
    manifest = bundle.manifest.model_copy(update={"files": files})
    (bundle.path / MANIFEST).write_text(manifest.model_dump_json(), encoding="utf-8")
    return Bundle(bundle.path, manifest)
