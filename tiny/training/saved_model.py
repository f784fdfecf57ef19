"""Saves the trained parts as a `transformers` checkpoint (`MiniCPMV4_6ForConditionalGeneration`), and loads one."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import (
    GenerationConfig,
    MiniCPMV4_6Config,
    MiniCPMV4_6ForConditionalGeneration,
    MiniCPMV4_6ImageProcessorPil,
    PreTrainedTokenizerFast,
    Qwen3Config,
)

from uhd_edge.export.connectors import Connector
from uhd_edge.export.tower import VisionTower
from uhd_edge.tiny.training.tower_start import CONFIG
from uhd_edge.tiny.world.tokenizer import END_OF_TEXT, TURN_END, VOCABULARY, train_tokenizer
from uhd_edge.tiny.world.views import PATCH, TABLE_SIDE, VIEW_SIDE

TEXT_LAYERS = 4
COMPRESSOR = "vit_merger."


def text_config() -> Qwen3Config:
    """The language model's sizes."""
    return Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=CONFIG.llm_hidden,
        intermediate_size=768,
        num_hidden_layers=TEXT_LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=64,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        bos_token_id=None,
        eos_token_id=None,
        dtype="float32",
    )


def model_config(tokenizer: PreTrainedTokenizerFast, insert_layer: int = CONFIG.insert_layer) -> MiniCPMV4_6Config:
    """The whole model's configuration."""
    ids = tokenizer.get_vocab()
    text = text_config()
    text.eos_token_id, text.pad_token_id = ids[TURN_END], ids[END_OF_TEXT]
    config = MiniCPMV4_6Config(
        text_config=text.to_dict(),
        vision_config={
            "hidden_size": CONFIG.hidden,
            "intermediate_size": CONFIG.intermediate,
            "num_hidden_layers": CONFIG.layers,
            "num_attention_heads": CONFIG.heads,
            "image_size": TABLE_SIDE * PATCH,
            "patch_size": PATCH,
        },
        insert_layer_id=insert_layer,
        image_size=VIEW_SIDE,
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        tie_word_embeddings=True,
    )
    config.eos_token_id, config.pad_token_id = text.eos_token_id, text.pad_token_id
    return config


def save_processor(folder: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    """Write the tokenizer, the chat template and the preprocessing.

    The preprocessing is that of the real checkpoint, but with views of 224x224 pixels. The files
    are written one by one, because transformers' processor class needs torchvision.
    """
    tokenizer.save_pretrained(folder)
    images = MiniCPMV4_6ImageProcessorPil(
        scale_resolution=VIEW_SIDE,
        max_slice_nums=9,
        patch_size=PATCH,
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    ).to_dict()
    images |= {"image_processor_type": "MiniCPMV4_6ImageProcessor", "processor_class": "MiniCPMV4_6Processor"}
    (folder / "preprocessor_config.json").write_text(json.dumps(images, indent=2, sort_keys=True) + "\n")
    videos = {name: value for name, value in images.items() if name != "image_processor_type"}
    videos |= {"video_processor_type": "MiniCPMV4_6VideoProcessor"}
    (folder / "video_preprocessor_config.json").write_text(json.dumps(videos, indent=2, sort_keys=True) + "\n")
    (folder / "processor_config.json").write_text('{"processor_class": "MiniCPMV4_6Processor"}\n')


def save_checkpoint(
    folder: Path,
    tower: VisionTower,
    connector: Connector,
    text: dict[str, Tensor],
    dtype: torch.dtype = torch.float16,
) -> None:
    """Write a checkpoint that plain `transformers` loads, unless the tower has a compressor that it does not know.

    `text` holds the language model's tensors under the names of `Qwen3Model`. A checkpoint with
    another compressor names it in its `vision_config`, where `uhd export` looks for it.
    """
    tokenizer = train_tokenizer()
    model = MiniCPMV4_6ForConditionalGeneration(model_config(tokenizer, tower.config.insert_layer))
    vision = {name: tensor.detach().clone() for name, tensor in tower.state_dict().items()}
    weight = vision.pop("embeddings.patch_embedding.weight")
    vision["embeddings.patch_embedding.weight"] = weight.reshape(CONFIG.hidden, CONFIG.channels, PATCH, PATCH)
    known = tower.config.compressor == CONFIG.compressor
    others = {} if known else {name: vision.pop(name) for name in [*vision] if name.startswith(COMPRESSOR)}
    model.model.vision_tower.load_state_dict(vision, strict=known)
    model.model.merger.load_state_dict(connector.state_dict())
    model.model.language_model.load_state_dict(text)
    model.tie_weights()
    model.generation_config = GenerationConfig(
        eos_token_id=model.config.eos_token_id, pad_token_id=model.config.pad_token_id, do_sample=False
    )
    torch.nn.Module.to(model, dtype)  # not `model.to`: type checkers cannot read its decorator
    model.save_pretrained(folder)
    save_processor(folder, tokenizer)
    if not known:
        _put_compressor(folder, tower.config.compressor, {name: tensor.to(dtype) for name, tensor in others.items()})


def _put_compressor(folder: Path, name: str, tensors: dict[str, Tensor]) -> None:
    """Replace the compressor of a saved checkpoint by the `tensors` of another, and name it."""
    prefix = "model.vision_tower."
    saved = load_file(folder / "model.safetensors")
    kept = {key: tensor for key, tensor in saved.items() if not key.startswith(prefix + COMPRESSOR)}
    save_file(kept | {prefix + key: tensor for key, tensor in tensors.items()}, folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    config["vision_config"]["compressor"] = name
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def load_checkpoint(folder: Path) -> tuple[VisionTower, Connector, dict[str, Tensor]]:
    """Tower, connector and the language model's tensors of a saved checkpoint, in float32."""
    tensors = {name: tensor.float() for name, tensor in load_file(folder / "model.safetensors").items()}

    def below(prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}

    tower, connector = VisionTower(CONFIG), Connector(CONFIG)
    vision = below("model.vision_tower.")
    weight = vision.pop("embeddings.patch_embedding.weight")
    vision["embeddings.patch_embedding.weight"] = weight.flatten(1)
    tower.load_state_dict(vision)
    connector.load_state_dict(below("model.merger."))
    return tower, connector, below("model.language_model.")
