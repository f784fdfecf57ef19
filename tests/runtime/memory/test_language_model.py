"""What a language model takes is read from its header, and is what llama.cpp then keeps."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import gguf
import pytest
from support.language_models.small_hybrid import SMALL_HYBRID
from support.tiny_gguf import write_gguf

from uhd_edge.bench.synthetic.random_hybrid import write_random_hybrid
from uhd_edge.runtime.errors import ModelError
from uhd_edge.runtime.llm.language_model import LanguageModel
from uhd_edge.runtime.memory.gguf_sizes import read_gguf_sizes

if TYPE_CHECKING:
    from pathlib import Path

# llama.cpp writes a few numbers for every token and every layer into a saved state, beside what it keeps.
PLACES = 100  # bytes


@pytest.fixture(scope="module", params=["plain", "hybrid"])
def model_file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("models") / f"{request.param}.gguf"
    if request.param == "hybrid":
        write_random_hybrid(file, SMALL_HYBRID)
        return file
    return write_gguf(file)


def test_what_the_header_says_of_a_conversation_is_what_llama_cpp_saves_of_one(model_file: Path) -> None:
    sizes = read_gguf_sizes(model_file)
    with LanguageModel(model_file, context=128, threads=1) as model:
        saved = []
        for count in (16, 64):
            model.clear()
            model.prefill([[1] * count])
            saved.append(model.save(whole=True).data.nbytes)
    for_a_token = (saved[1] - saved[0]) / 48
    assert sizes.cache_numbers * 2 <= for_a_token <= sizes.cache_numbers * 2 + PLACES
    for_all = saved[0] - 16 * for_a_token
    assert sizes.recurrent_numbers * 4 <= for_all <= sizes.recurrent_numbers * 4 + 1000


def test_bytes_by_type_are_those_of_ggufs_own_reader(model_file: Path) -> None:
    counted = Counter[int]()
    for tensor in gguf.GGUFReader(str(model_file)).tensors:
        if len(tensor.shape) > 1 and tensor.name != "token_embd.weight":
            counted[int(tensor.tensor_type)] += int(tensor.n_bytes)
    found = read_gguf_sizes(model_file).bytes_by_type
    assert found.keys() == counted.keys()
    assert all(found[kind] == pytest.approx(counted[kind], rel=0.1) for kind in counted)  # with padding, and the header


@pytest.mark.parametrize("content", [b"", b"no GGUF at all, but some bytes of something else", b"GGUF\3\0\0\0"])
def test_a_file_that_is_no_language_model_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "llm.gguf"
    file.write_bytes(content)
    with pytest.raises(ModelError, match=r"llm\.gguf: not a GGUF file of a language model"):
        read_gguf_sizes(file)
