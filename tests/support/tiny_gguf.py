"""Tiny random GGUF models, written with the package `gguf`, for tests that need no checkpoint.

The vocabulary has the 256 bytes, a few merges and the special tokens of the vision prompt. `qwen3`
is a plain transformer. `qwen2vl` has M-RoPE, like Qwen3.5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import gguf
import numpy as np

from uhd_edge.bench.synthetic.random_llm import SPECIAL

if TYPE_CHECKING:
    from pathlib import Path

Architecture = Literal["qwen3", "qwen2vl"]

MERGES = ("h e", "l l", "he ll", "hell o")
HIDDEN, FEED_FORWARD, HEADS, KV_HEADS, HEAD, LAYERS, CONTEXT = 64, 80, 4, 2, 16, 2, 1024


def byte_characters() -> list[str]:
    """The characters that stand for the bytes 0 to 255 in GPT-2's byte-level BPE."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = iter(range(256, 512))
    return [chr(byte) if byte in shown else chr(next(hidden)) for byte in range(256)]


def tokens() -> list[str]:
    """The vocabulary, in the order of the token ids."""
    return [*byte_characters(), *(merge.replace(" ", "") for merge in MERGES), *SPECIAL]


def token_id(text: str) -> int:
    return tokens().index(text)


def embedding_table(seed: int = 0) -> np.ndarray:
    """The model's token embeddings, float32 [vocabulary, hidden]."""
    return np.random.default_rng(seed).standard_normal((len(tokens()), HIDDEN)).astype(np.float32)


def write_gguf(
    path: Path,
    *,
    architecture: Architecture = "qwen3",
    seed: int = 0,
    special_tokens_known: bool = True,
    weight: float = 1.0,
    end: str = "<|im_end|>",
) -> Path:
    """Write a model. All matrices but the embeddings are multiplied by `weight`; with NaN, the model returns NaN.

    `end` is the token that ends an answer.
    """
    writer = gguf.GGUFWriter(str(path), architecture)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_key_length(HEAD)
    writer.add_value_length(HEAD)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(1e4)
    if architecture == "qwen2vl":
        writer.add_rope_dimension_sections([4, 2, 2, 0])
    write_vocabulary(writer, special_tokens_known=special_tokens_known, end=end)
    for name, values in weights(architecture, seed, weight).items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_vocabulary(writer: gguf.GGUFWriter, *, special_tokens_known: bool, end: str = "<|im_end|>") -> None:
    special = gguf.TokenType.CONTROL if special_tokens_known else gguf.TokenType.NORMAL
    plain = len(tokens()) - len(SPECIAL)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens())
    writer.add_token_types([gguf.TokenType.NORMAL] * plain + [special] * len(SPECIAL))
    writer.add_token_merges(list(MERGES))
    writer.add_eos_token_id(token_id(end))


def weights(architecture: Architecture, seed: int, scale: float) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed + 1)

    def matrix(rows: int, columns: int) -> np.ndarray:
        return (scale * random.standard_normal((rows, columns)) / np.sqrt(columns)).astype(np.float32)

    tensors = {
        "token_embd.weight": embedding_table(seed),
        "output_norm.weight": np.ones(HIDDEN, np.float32),
        "output.weight": 3 * matrix(len(tokens()), HIDDEN),
    }
    for layer in range(LAYERS):
        block = {
            "attn_norm": np.ones(HIDDEN, np.float32),
            "attn_q": matrix(HEADS * HEAD, HIDDEN),
            "attn_k": matrix(KV_HEADS * HEAD, HIDDEN),
            "attn_v": matrix(KV_HEADS * HEAD, HIDDEN),
            "attn_output": matrix(HIDDEN, HEADS * HEAD),
            "ffn_norm": np.ones(HIDDEN, np.float32),
            "ffn_gate": matrix(FEED_FORWARD, HIDDEN),
            "ffn_up": matrix(FEED_FORWARD, HIDDEN),
            "ffn_down": matrix(HIDDEN, FEED_FORWARD),
        }
        if architecture == "qwen3":
            block |= {"attn_q_norm": np.ones(HEAD, np.float32), "attn_k_norm": np.ones(HEAD, np.float32)}
        tensors |= {f"blk.{layer}.{name}.weight": values for name, values in block.items()}
        if architecture == "qwen2vl":
            sizes = {"attn_q": HEADS * HEAD, "attn_k": KV_HEADS * HEAD, "attn_v": KV_HEADS * HEAD}
            tensors |= {f"blk.{layer}.{name}.bias": np.zeros(size, np.float32) for name, size in sizes.items()}
    return tensors
