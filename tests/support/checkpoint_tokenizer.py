"""The tokenizer of the tiny random checkpoints: a byte-level BPE like Qwen's, with the vision special tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from uhd_edge.tiny.world.tokenizer import NAMED_TOKENS

if TYPE_CHECKING:
    from pathlib import Path

# The regular expressions of the pre-tokenizers: of Qwen2 and Qwen3, and of Qwen3.5, which keeps marks with letters.
SPLIT_QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPLIT_QWEN35 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)

CONTROL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", *NAMED_TOKENS.values())
PLAIN_ADDED_TOKENS = ("<think>", "</think>")

TRAINING_TEXT = (
    "What is the code on the red circle? The code on the red circle is K7Q2.",
    "How many blue squares are there? There are 3 blue squares and 12 stars.",
    "Describe the scene. 2 objects: a red circle labelled K7Q2, a blue star labelled 9XF.",
    "user\nassistant\nsystem\nYou are a helpful assistant.\n\n  def main():\n\treturn 0\n",
    "Is there a green triangle? It's the leftmost, isn't it? They'll see: 1234567890.",
    "हिन्दी हिन्दी में हिन्दी",  # letters with marks, which Qwen2 and Qwen3.5 split differently
    "Größe, élan, naïve; 图像里有什么? どんな色ですか。 Что на картинке? 🙂🚀",
)

CHAT_TEMPLATE = """\
{%- macro render(content) -%}
{%- if content is string -%}
{{- content -}}
{%- else -%}
{%- for part in content -%}
{%- if part.type == 'image' -%}
{{- '<|image_pad|>' -}}
{%- elif part.type == 'text' -%}
{{- part.text -}}
{%- else -%}
{{- raise_exception('Unexpected content type ' ~ part.type) -}}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
{%- endmacro -%}
{%- for message in messages -%}
{{- '<|im_start|>' + message.role + '\\n' + render(message.content) + '<|im_end|>' + '\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' -}}
{%- if enable_thinking is defined and enable_thinking -%}
{{- '<think>\\n' -}}
{%- else -%}
{{- '<think>\\n\\n</think>\\n\\n' -}}
{%- endif -%}
{%- endif -%}
"""


THINKS_IF_TOLD = "enable_thinking is defined and enable_thinking"
THINKS_UNLESS_TOLD = "enable_thinking is not defined or enable_thinking"  # as MiniCPM-V 4.7's template


def save_tokenizer(folder: Path, *, split: str, vocabulary: int, thinks: bool = False) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE with Qwen's pre-tokenizer on a few lines, add the special tokens, and save it."""
    backend = Tokenizer(models.BPE(byte_fallback=False))
    backend.normalizer = normalizers.NFC()
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(split), behavior="isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.ByteLevel(trim_offsets=False)
    added = len(CONTROL_TOKENS) + len(PLAIN_ADDED_TOKENS)
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - added - 8,  # as in Qwen's models, some rows of the embedding table have no token
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(TRAINING_TEXT * 4, trainer)
    backend.add_special_tokens(list(CONTROL_TOKENS))
    backend.add_tokens(list(PLAIN_ADDED_TOKENS))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens=NAMED_TOKENS,
        chat_template=CHAT_TEMPLATE.replace(THINKS_IF_TOLD, THINKS_UNLESS_TOLD) if thinks else CHAT_TEMPLATE,
        model_max_length=4096,
    )
    tokenizer.save_pretrained(folder)
    return tokenizer
