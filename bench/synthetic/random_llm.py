"""A small language model with random weights, as a GGUF that llama.cpp loads and that takes embeddings.

Its answers are noise. It is a `qwen3` model with a byte-level vocabulary and a single merge, the
special tokens of the vision prompt, and a ChatML template.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from uhd_edge.runtime.bundles.manifest import LanguageModelFile, Prompt, SpecialTokens

if TYPE_CHECKING:
    from pathlib import Path

    from gguf import GGUFWriter
    from numpy.typing import NDArray

ARCHITECTURE, TYPE = "qwen3", "f16"
TURN_END = "<|im_end|>"
MERGE = "e r"  # llama.cpp needs at least one
TOKENS: Final = SpecialTokens(
    image="<|image_pad|>",
    image_start="<image>",
    image_end="</image>",
    slice_start="<slice>",
    slice_end="</slice>",
    image_id_start="<image_id>",
    image_id_end="</image_id>",
)
SPECIAL = ("<|endoftext|>", "<|im_start|>", TURN_END, *TOKENS.model_dump().values())
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% for part in message.content %}"
    "{{ '<|image_pad|>' if part.type == 'image' else part.text }}"
    "{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@dataclass(frozen=True)
class RandomLanguageModel:
    """The sizes of the language model. `hidden` is the width of its embeddings."""

    hidden: int
    intermediate: int
    layers: int = 4
    heads: int = 8
    kv_heads: int = 2
    head: int = 128
    context: int = 32768

    @property
    def bytes(self) -> int:
        """The approximate size of its file."""
        attention = 2 * (self.heads + self.kv_heads) * self.head
        vocabulary = len(list_vocabulary())
        return 2 * self.layers * self.hidden * (attention + 3 * self.intermediate) + 4 * vocabulary * self.hidden


def prompt() -> Prompt:
    """The chat template and tokens of its prompts."""
    return Prompt(chat_template=CHAT_TEMPLATE, tokens=TOKENS, stop_ids=(_id(TURN_END),), use_image_id=True)


def write_random_llm(file: Path, model: RandomLanguageModel, *, seed: int = 0) -> LanguageModelFile:
    """Write the GGUF, and return what a bundle's manifest says of it. The same `seed` gives the same weights."""
    from gguf import GGUFWriter

    writer = GGUFWriter(str(file), ARCHITECTURE)
    writer.add_context_length(model.context)
    writer.add_embedding_length(model.hidden)
    writer.add_block_count(model.layers)
    writer.add_feed_forward_length(model.intermediate)
    writer.add_head_count(model.heads)
    writer.add_head_count_kv(model.kv_heads)
    writer.add_key_length(model.head)
    writer.add_value_length(model.head)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(1e6)
    _add_vocabulary(writer)
    for name, values in _weights(model, np.random.default_rng(seed)).items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return LanguageModelFile(
        file=file.name,
        architecture=ARCHITECTURE,
        type=TYPE,
        hidden_size=model.hidden,
        vocabulary_size=len(list_vocabulary()),
    )


def _add_vocabulary(writer: GGUFWriter) -> None:
    from gguf import TokenType

    plain = len(list_vocabulary()) - len(SPECIAL)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(list_vocabulary())
    writer.add_token_types([TokenType.NORMAL] * plain + [TokenType.CONTROL] * len(SPECIAL))
    writer.add_token_merges([MERGE])
    writer.add_eos_token_id(_id(TURN_END))


def list_vocabulary() -> list[str]:
    """The tokens: the characters that stand for bytes in GPT-2's byte-level BPE, the merge, the special tokens."""
    shown = {*range(33, 127), *range(161, 173), *range(174, 256)}
    hidden = iter(range(256, 512))
    characters = [chr(byte) if byte in shown else chr(next(hidden)) for byte in range(256)]
    return [*characters, MERGE.replace(" ", ""), *SPECIAL]


def _id(token: str) -> int:
    return list_vocabulary().index(token)


def _weights(model: RandomLanguageModel, random: np.random.Generator) -> dict[str, NDArray[np.generic]]:
    """Random matrices, scaled so that a product is about as large as its input, and norm weights of 1."""

    def matrix(rows: int, columns: int) -> NDArray[np.generic]:
        return (random.standard_normal((rows, columns), np.float32) / math.sqrt(columns)).astype(np.float16)

    output = matrix(len(list_vocabulary()), model.hidden)
    output[_id(SPECIAL[0]) :] = 0  # a special token is never the likeliest, so an answer never ends early
    tensors: dict[str, NDArray[np.generic]] = {
        "token_embd.weight": matrix(len(list_vocabulary()), model.hidden),
        "output_norm.weight": np.ones(model.hidden, np.float32),
        "output.weight": output,
    }
    for layer in range(model.layers):
        block: dict[str, NDArray[np.generic]] = {
            "attn_norm": np.ones(model.hidden, np.float32),
            "attn_q": matrix(model.heads * model.head, model.hidden),
            "attn_k": matrix(model.kv_heads * model.head, model.hidden),
            "attn_v": matrix(model.kv_heads * model.head, model.hidden),
            "attn_output": matrix(model.hidden, model.heads * model.head),
            "attn_q_norm": np.ones(model.head, np.float32),
            "attn_k_norm": np.ones(model.head, np.float32),
            "ffn_norm": np.ones(model.hidden, np.float32),
            "ffn_gate": matrix(model.intermediate, model.hidden),
            "ffn_up": matrix(model.intermediate, model.hidden),
            "ffn_down": matrix(model.hidden, model.intermediate),
        }
        tensors |= {f"blk.{layer}.{name}.weight": values for name, values in block.items()}
    return tensors
