"""A language model of random weights with the layers and sizes of Qwen3.5, quantized as an export is.

Its answers are noise, but reading a prompt, writing a token, its memory and a session's saved
states cost what those of the real model cost. Its vocabulary is as large: that of `random_llm`,
filled up with words that are no words.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from uhd_edge.bench.synthetic.random_llm import SPECIAL, TURN_END, list_vocabulary
from uhd_edge.export.language_model.canvas_sections import move_time_to_fourth
from uhd_edge.export.language_model.quantize import file_type, quantize
from uhd_edge.runtime.bundles.manifest import LanguageModelFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gguf import GGUFWriter
    from numpy.typing import NDArray

ARCHITECTURE: Final = "qwen35"
LLM_TYPE: Final = "q4_k_m"


@dataclass(frozen=True)
class RandomHybrid:
    """The sizes of a hybrid: full attention in every `full_every`th layer, Gated DeltaNet in the others.

    The defaults are those of MiniCPM-V 4.6's language model; `hidden` is the width of an embedding.
    `has_output` says that its output layer is not its embedding, `has_canvas` that tokens have
    positions in time and plane.
    """

    hidden: int = 1024
    intermediate: int = 3584
    layers: int = 24
    full_every: int = 4
    heads: int = 8
    kv_heads: int = 2
    head: int = 256
    linear_heads: int = 16
    linear_head: int = 128
    convolution: int = 4
    rotary: int = 64
    vocabulary: int = 248_094
    context: int = 262_144
    has_output: bool = False
    has_canvas: bool = False

    @property
    def parameters(self) -> int:
        """How many numbers it has."""
        return sum(math.prod(shape) for shape in _shapes(self).values())

    @property
    def bytes(self) -> int:
        """About as many as are on disk while it is made: in FP16, and quantized."""
        return self.parameters * (16 + math.ceil(file_type(LLM_TYPE).bits)) // 8


def write_random_hybrid(file: Path, model: RandomHybrid, *, seed: int = 0) -> LanguageModelFile:
    """Write the GGUF and describe it for a bundle's manifest; the same `seed` gives the same weights."""
    from gguf import GGUFWriter

    plain = file.with_name(f"plain-{file.name}")
    try:
        writer = GGUFWriter(str(plain), ARCHITECTURE)
        _add_sizes(writer, model)
        _add_vocabulary(writer, model.vocabulary)
        for name, values in _weights(model, np.random.default_rng(seed)):
            writer.add_tensor(name, values)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        quantize(plain, file, LLM_TYPE)
        if model.has_canvas:
            move_time_to_fourth(file, name=file.name)
    finally:
        plain.unlink(missing_ok=True)
    return LanguageModelFile(
        file=file.name,
        architecture=ARCHITECTURE,
        type=LLM_TYPE,
        hidden_size=model.hidden,
        vocabulary_size=model.vocabulary,
    )


def _add_sizes(writer: GGUFWriter, model: RandomHybrid) -> None:
    writer.add_context_length(model.context)
    writer.add_embedding_length(model.hidden)
    writer.add_block_count(model.layers)
    writer.add_feed_forward_length(model.intermediate)
    writer.add_head_count(model.heads)
    writer.add_head_count_kv(model.kv_heads)
    writer.add_key_length(model.head)
    writer.add_value_length(model.head)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(1e7)
    writer.add_rope_dimension_count(model.rotary)
    half = model.rotary // 2
    writer.add_rope_dimension_sections([half - 2 * (half // 3), half // 3, half // 3, 0])
    writer.add_ssm_conv_kernel(model.convolution)
    writer.add_ssm_state_size(model.linear_head)
    writer.add_ssm_group_count(model.linear_heads)
    writer.add_ssm_time_step_rank(model.linear_heads)
    writer.add_ssm_inner_size(model.linear_heads * model.linear_head)
    writer.add_uint32(f"{ARCHITECTURE}.full_attention_interval", model.full_every)
    writer.add_file_type(file_type("f16").number)


def _add_vocabulary(writer: GGUFWriter, size: int) -> None:
    from gguf import TokenType

    known = list_vocabulary()
    words = [f"word{number}" for number in range(size - len(known))]
    types = [TokenType.NORMAL] * (len(known) - len(SPECIAL)) + [TokenType.CONTROL] * len(SPECIAL)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen35")
    writer.add_token_list([*known, *words])
    writer.add_token_types([*types, *[TokenType.NORMAL] * len(words)])
    writer.add_token_merges(["e r"])
    writer.add_eos_token_id(known.index(TURN_END))


def _weights(model: RandomHybrid, random: np.random.Generator) -> Iterator[tuple[str, NDArray[Any]]]:
    """Matrices that keep the size of what they are given, and vectors that change nothing."""
    for name, shape in _shapes(model).items():
        if len(shape) == 1:
            # The decay of a recurrent layer's state, which has to be negative.
            yield name, np.full(shape, -1.0 if name.endswith("ssm_a") else float("norm" in name), np.float32)
        elif "conv1d" in name:
            yield name, (random.standard_normal(shape, np.float32) / math.sqrt(shape[-1])).astype(np.float32)
        else:
            matrix = (random.standard_normal(shape, np.float32) / math.sqrt(shape[-1])).astype(np.float16)
            if matrix.shape == (model.vocabulary, model.hidden):
                first = list_vocabulary().index(SPECIAL[0])
                matrix[first : first + len(SPECIAL)] = 0  # so that no special token is ever the likeliest
            yield name, matrix


def _shapes(model: RandomHybrid) -> dict[str, tuple[int, ...]]:
    """Every tensor under llama.cpp's name; without `has_output` the output layer is the embedding."""
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (model.vocabulary, model.hidden),
        "output_norm.weight": (model.hidden,),
    }
    if model.has_output:
        shapes["output.weight"] = (model.vocabulary, model.hidden)
    for layer in range(model.layers):
        is_full = (layer + 1) % model.full_every == 0
        block = {**_feed_forward(model), **(_full_attention(model) if is_full else _linear_attention(model))}
        shapes |= {f"blk.{layer}.{name}": shape for name, shape in block.items()}
    return shapes


def _feed_forward(model: RandomHybrid) -> dict[str, tuple[int, ...]]:
    return {
        "attn_norm.weight": (model.hidden,),
        "post_attention_norm.weight": (model.hidden,),
        "ffn_gate.weight": (model.intermediate, model.hidden),
        "ffn_up.weight": (model.intermediate, model.hidden),
        "ffn_down.weight": (model.hidden, model.intermediate),
    }


def _full_attention(model: RandomHybrid) -> dict[str, tuple[int, ...]]:
    """Attention with a gate beside every query."""
    return {
        "attn_q.weight": (2 * model.heads * model.head, model.hidden),
        "attn_k.weight": (model.kv_heads * model.head, model.hidden),
        "attn_v.weight": (model.kv_heads * model.head, model.hidden),
        "attn_output.weight": (model.hidden, model.heads * model.head),
        "attn_q_norm.weight": (model.head,),
        "attn_k_norm.weight": (model.head,),
    }


def _linear_attention(model: RandomHybrid) -> dict[str, tuple[int, ...]]:
    """Gated DeltaNet with as many heads for keys as for values."""
    width = model.linear_heads * model.linear_head
    return {
        "attn_qkv.weight": (3 * width, model.hidden),
        "attn_gate.weight": (width, model.hidden),
        "ssm_conv1d.weight": (3 * width, model.convolution),
        "ssm_alpha.weight": (model.linear_heads, model.hidden),
        "ssm_beta.weight": (model.linear_heads, model.hidden),
        "ssm_a": (model.linear_heads,),
        "ssm_dt.bias": (model.linear_heads,),
        "ssm_norm.weight": (model.linear_head,),
        "ssm_out.weight": (model.hidden, width),
    }
