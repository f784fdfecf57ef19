"""A tiny random MoonViT, stored as Moonshot's code does and run by transformers, in a checkpoint of MiniCPM-V 4.6.

transformers has MoonViT as the vision tower of Kimi K2.5, whose pictures of one frame it encodes in the
same way. It reads the names of Moonshot's code and writes them again.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file, save_file
from support.checkpoints import TinyCheckpoint, save_checkpoint
from transformers import Kimi_K25Config, Kimi_K25ForConditionalGeneration

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor
    from transformers.models.kimi_k25.modeling_kimi_k25 import Kimi_K25VisionModel

HEADS, LAYERS, TABLE, INSERT = 4, 3, 9, 1
TINY = TinyCheckpoint(insert_layer=INSERT, scale_resolution=112)
FILE = "model.safetensors"
TOWER, OURS = "vision_tower.", "model.vision_tower."
TEXT = {
    "model_type": "deepseek_v3",
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 1,
    "num_key_value_heads": 1,
    "vocab_size": 32,
    "intermediate_size": 16,
    "first_k_dense_replace": 1,
    "q_lora_rank": 8,
    "kv_lora_rank": 8,
    "qk_rope_head_dim": 4,
    "qk_nope_head_dim": 4,
    "v_head_dim": 4,
}


def random_moonvit(folder: Path) -> tuple[Kimi_K25VisionModel, dict[str, Tensor]]:
    """The tower in transformers, and its tensors under the names of Moonshot's code."""
    vision = {
        "hidden_size": TINY.vision_hidden,
        "intermediate_size": TINY.vision_intermediate,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "patch_size": TINY.patch,
        "pos_emb_height": TABLE,
        "pos_emb_width": TABLE,
    }
    torch.manual_seed(3)
    sizes = {"projection_hidden_size": TINY.vision_hidden, "image_token_id": 1, "video_token_id": 2}
    model = Kimi_K25ForConditionalGeneration(Kimi_K25Config(vision_config=vision, text_config=TEXT, **sizes)).eval()
    tower: Kimi_K25VisionModel = model.model.vision_tower
    tower.merge_kernel_size = (1, 1)  # what it merges after its last norm is not asked for, and odd grids would not fit
    with torch.no_grad():
        for name, parameter in tower.named_parameters():
            spread = 1.5 / parameter[0].numel() ** 0.5 if parameter.dim() > 1 and "pos_emb" not in name else 0.5
            parameter.copy_(torch.randn_like(parameter) * spread + ("norm" in name and name.endswith("weight")))
    model.save_pretrained(folder)
    stored = {name: tensor for name, tensor in load_file(folder / FILE).items() if name.startswith(TOWER)}
    # Moonshot's code has the patch embedding beside its encoder; transformers writes it inside.
    return tower, {name.replace("encoder.patch_embed", "patch_embed"): tensor for name, tensor in stored.items()}


def save_moonvit_checkpoint(folder: Path, tensors: dict[str, Tensor]) -> Path:
    """Write a checkpoint whose vision tower, but for its compressor, is the MoonViT of these `tensors`."""
    save_checkpoint(folder, TINY)
    kept = {
        name: tensor
        for name, tensor in load_file(folder / FILE).items()
        if not name.startswith(OURS) or name.startswith(f"{OURS}vit_merger.")
    }
    moved = {OURS + name.removeprefix(TOWER): tensor for name, tensor in tensors.items()}
    save_file(kept | moved, folder / FILE, metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config["vision_config"] = {
        "model_type": "moonvit",
        "patch_size": TINY.patch,
        "init_pos_emb_height": TABLE,
        "init_pos_emb_width": TABLE,
        "num_attention_heads": HEADS,
        "num_hidden_layers": LAYERS,
        "hidden_size": TINY.vision_hidden,
        "intermediate_size": TINY.vision_intermediate,
        "merge_kernel_size": [2, 2],
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def encode(tower: Kimi_K25VisionModel, patches: Tensor, rows: int, columns: int) -> Tensor:
    """[N, 3*p*p] in rows of patches -> the features [N, d] that transformers computes of one view."""
    side = TINY.patch
    with torch.no_grad():
        grid = torch.tensor([[1, rows, columns]])
        features: Tensor = tower(patches.reshape(-1, 3, side, side), grid_thw=grid).last_hidden_state
        return features
