"""The random language model has the layers and sizes of the real one, and answers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from support.language_models.small_hybrid import SMALL_HYBRID

from uhd_edge.bench.synthetic.random_hybrid import RandomHybrid, write_random_hybrid
from uhd_edge.bench.synthetic.random_llm import SPECIAL
from uhd_edge.export.checkpoint.tensors import text_tensors
from uhd_edge.export.checkpoint.text_config import TextConfig
from uhd_edge.runtime.llm.language_model import LanguageModel
from uhd_edge.runtime.llm.sampling import Sampling

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LanguageModel]:
    file = tmp_path_factory.mktemp("models") / "llm.gguf"
    described = write_random_hybrid(file, SMALL_HYBRID)
    assert [one.name for one in file.parent.iterdir()] == [described.file]
    with LanguageModel(file, threads=1) as model:
        assert (model.width, model.vocabulary.size) == (described.hidden_size, described.vocabulary_size) == (64, 400)
        yield model


def test_it_is_a_hybrid_that_writes_as_long_as_it_may(model: LanguageModel) -> None:
    assert model.is_recurrent
    model.prefill([model.vocabulary.tokenize("<|im_start|>user\nWhat is it?<|im_end|>\n")])
    tokens = list(model.generate(Sampling(), max_tokens=20))
    assert len(tokens) == 20
    assert len(set(tokens)) > 1
    special = {model.vocabulary.tokenize(text)[0] for text in SPECIAL}
    assert not special & set(tokens)


def test_what_was_read_matters(model: LanguageModel) -> None:
    logits = []
    for text in ("One.", "Two."):
        model.clear()
        model.prefill([model.vocabulary.tokenize(text)])
        logits.append(model.logits())
    assert abs(logits[0] - logits[1]).max() > 0.01


def test_its_sizes_are_those_of_the_checkpoint() -> None:
    """A configuration as the checkpoint has it, whose tensors the export checks by name and shape."""
    real = TextConfig.model_validate(
        {
            "model_type": "qwen3_5_text",
            "hidden_size": 1024,
            "intermediate_size": 3584,
            "num_hidden_layers": 24,
            "num_attention_heads": 8,
            "num_key_value_heads": 2,
            "head_dim": 256,
            "vocab_size": 248094,
            "linear_num_key_heads": 16,
            "linear_num_value_heads": 16,
            "linear_key_head_dim": 128,
            "linear_value_head_dim": 128,
            "linear_conv_kernel_dim": 4,
            "layer_types": (["linear_attention"] * 3 + ["full_attention"]) * 6,
        }
    )
    assert RandomHybrid().parameters == sum(math.prod(shape) for shape in text_tensors(real).values())
