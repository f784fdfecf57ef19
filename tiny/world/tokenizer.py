"""The byte-level BPE tokenizer and the chat template of uhd-tiny.

It is trained on the world's questions and answers without their codes, so that each word is one
token, and each character of a code is one token. Normalizer, pre-tokenizer and decoder are
those of Qwen2; llama.cpp calls this pre-tokenizer `qwen2`.
"""

from __future__ import annotations

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from uhd_edge.tiny.world.questions import DIRECTIONS, NO_CODE
from uhd_edge.tiny.world.scenes import COLOUR_NAMES, SHAPES

REMEMBERED = 20_000  # texts
VOCABULARY = 512  # rows of the embedding table, including unused ones
END_OF_TEXT, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
NAMED_TOKENS = {
    "image_token": "<|image_pad|>",
    "video_token": "<|video_pad|>",
    "image_start_token": "<image>",
    "image_end_token": "</image>",
    "slice_start_token": "<slice>",
    "slice_end_token": "</slice>",
    "image_id_start_token": "<image_id>",
    "image_id_end_token": "</image_id>",
}
SPECIAL_TOKENS = (END_OF_TEXT, TURN_START, TURN_END, *NAMED_TOKENS.values())
QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.content is string %}{{ message.content }}"
    "{% else %}{% for part in message.content %}"
    "{% if part.type == 'image' %}<|image_pad|>"
    "{% elif part.type == 'video' %}<|video_pad|>"
    "{% elif part.type == 'text' %}{{ part.text }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def corpus() -> list[str]:
    """All questions and answers of the world without codes and numbers. The tokenizer learns its merges from them."""
    texts = ["user\n", "assistant\n", "system\n", NO_CODE, "yes", "no", "Describe the scene."]
    texts += [f"Which object is the {direction}?" for direction in DIRECTIONS]
    texts += ["1 object: ", "2 objects: ", " labelled ", "What is labelled "]
    for shape in SHAPES:
        texts.append(f"How many {shape}s are there?")
        for colour in COLOUR_NAMES:
            texts += [f"What is the code on the {colour} {shape}?", f"Is there a {colour} {shape}?"]
            texts += [f"a {colour} {shape}", f"the {colour} {shape}", f": a {colour} {shape} labelled "]
            texts += [f", a {colour} {shape} labelled ", f"How many {colour} objects are there?"]
    return texts


def train_tokenizer() -> PreTrainedTokenizerFast:
    """Train the tokenizer. The result is the same every time."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=TURN_END,
        pad_token=END_OF_TEXT,
        extra_special_tokens=NAMED_TOKENS,
        chat_template=CHAT_TEMPLATE,
        model_max_length=4096,
        clean_up_tokenization_spaces=False,
    )


class RememberingEncoder:
    """Encodes as `train_tokenizer()` does, and remembers texts, most of which come again and again."""

    def __init__(self) -> None:
        self.tokenizer = train_tokenizer().backend_tokenizer
        self.remembered: dict[str, list[int]] = {}

    def encode(self, text: str) -> list[int]:
        """Text -> ids, in a list that is not to be changed."""
        known = self.remembered.get(text)
        if known is not None:
            return known
        if len(self.remembered) >= REMEMBERED:
            self.remembered.clear()
        ids: list[int] = self.tokenizer.encode(text).ids
        self.remembered[text] = ids
        return ids
