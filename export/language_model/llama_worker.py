"""The process that runs llama.cpp during an export.

llama.cpp aborts the process where Python would raise an exception, and its converter is a
script. Both run in a separate process, so that the export ends with one clear line, whatever
file a user names. `uhd_edge.export.language_model.llama_process` starts it. It writes JSON to
stdout and its log to stderr. After a failure, the last line of the log is the reason.
"""

from __future__ import annotations

import ctypes
import json
import os
import runpy
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from uhd_edge.runtime.llm.llama_library import llama_library
from uhd_edge.runtime.llm.llama_loading import metadata
from uhd_edge.runtime.llm.vocabulary import Vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable


def convert(folder: str, tokenizer_pre: str, *arguments: str) -> None:
    """Run `convert_hf_to_gguf.py` of `folder`. A `tokenizer_pre` is used instead of its table of known tokenizers."""
    for path in (Path(folder) / "gguf-py", Path(folder)):
        sys.path.insert(0, str(path))
    from conversion.base import TextModel  # type: ignore[import-not-found]

    def no_sentencepiece(self: object) -> None:  # noqa: ARG001
        # For Qwen models the converter first tries sentencepiece. It goes on if this says that there is no such
        # file, but not if the package is missing.
        raise FileNotFoundError

    TextModel._set_vocab_sentencepiece = no_sentencepiece
    if tokenizer_pre:
        TextModel.get_vocab_base_pre = lambda self, tokenizer: tokenizer_pre  # noqa: ARG005
    script = str(Path(folder) / "convert_hf_to_gguf.py")
    sys.argv = [script, *arguments]
    runpy.run_path(script, run_name="__main__")


def quantize(source: str, target: str, file_type: str, threads: str) -> None:
    """Quantize a GGUF with `llama_model_quantize`. `file_type` is a number of `enum llama_ftype`."""
    library = llama_library()
    parameters = library.api.llama_model_quantize_default_params()
    parameters.ftype = int(file_type)
    parameters.nthread = int(threads)
    if library.api.llama_model_quantize(os.fsencode(source), os.fsencode(target), ctypes.byref(parameters)):
        sys.exit(library.reason())


def inspect(file: str) -> None:
    """Load a GGUF, read a JSON list of texts from stdin, and print the model's facts and the texts' tokens."""
    texts = json.load(sys.stdin)
    library = llama_library()
    api = library.api
    parameters = api.llama_model_default_params()
    parameters.n_gpu_layers = 0
    parameters.check_tensors = True  # NaN and infinite weights are found now, not at the first question
    parameters.use_extra_bufts = False  # nothing is computed, so weights need not be rearranged for the processor
    model = api.llama_model_load_from_file(os.fsencode(file), parameters)
    if not model:
        sys.exit(library.reason())
    vocabulary = Vocabulary(api, model)
    found = {
        "architecture": metadata(api, model, "general.architecture"),
        "file_type": metadata(api, model, "general.file_type"),
        "parts": metadata(api, model, "split.count"),
        "hidden_size": api.llama_model_n_embd_inp(model),
        "vocabulary_size": vocabulary.size,
        "tokens": [vocabulary.tokenize(text) for text in texts],
    }
    json.dump(found, sys.stdout)


COMMANDS: dict[str, Callable[..., None]] = {"convert": convert, "quantize": quantize, "inspect": inspect}

if __name__ == "__main__":
    COMMANDS[sys.argv[1]](*sys.argv[2:])
