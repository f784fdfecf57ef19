"""Fused attentions are counted in what TensorRT tells of an engine's layers."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.pretended_gpu.cuda import Gpu
from support.stand_ins.trtexec import layers

from uhd_edge.engines.errors import EngineError
from uhd_edge.engines.tensorrt.engine import TensorRtEngine
from uhd_edge.engines.tensorrt.fused_attention import count_fused

DETAILED = """{"Layers": [{
  "Name": "_gemm_mha_v2_myl0_172",
  "LayerType": "kgen",
  "Inputs": [
  {
    "Name": "__mye6755",
    "Format/Datatype": "Half"
  }],
  "TacticName": "_gemm_mha_v2_0xbcebb264ff01c4c4f8078856729f8b7e",
  "Metadata": "[ONNX Layer: encoder.layers.3.self_attn/Softmax]"
},{
  "Name": "encoder.layers.3.self_attn.q_proj/MatMul",
  "LayerType": "gemm",
  "TacticName": "sm80_xmma_gemm_f16f16_f16f16_f16_tn_n_tilesize128x128x32"
}],
"Bindings": ["patches"]}"""


@pytest.mark.parametrize(
    ("told", "count"),
    [
        (DETAILED, 1),
        ('{"Layers": ["_gemm_mha_v2_myl0_4"\n,"__myl_Mul_myl0_5"], "Bindings": []}', 1),
        ('{"Layers": ["a_gemm_mha_v2", "b_gemm_mha_v2", "a_gemm_mha_v2 [profile 1]", "c [profile 2]"]}', 0),
        ('{"Layers": ["a_gemm_mha_v2", "b_gemm_mha_v2", "a_gemm_mha_v2 [profile 1]"]}', 1),
        ('{"Layers": ["__myl_ExpSumDiv"]}', 0),
        ('{"Layers": []}', None),
        ("", None),
        ("[]", None),
    ],
)
def test_the_profile_with_the_fewest_fused_attentions_counts(told: str, count: int | None) -> None:
    assert count_fused(told) == count


def test_an_open_engine_is_asked_for_its_layers(gpu: Gpu, file: Path) -> None:
    engine = TensorRtEngine(file, backend="tensorrt")
    assert engine.count_fused_attentions() == 1
    engine.close()
    with pytest.raises(EngineError, match="the engine is closed"):
        engine.count_fused_attentions()


def test_the_stand_in_for_trtexec_writes_what_is_read() -> None:
    assert count_fused(layers(3, fused=3, detailed=True)) == 1
    assert count_fused(layers(3, fused=3, detailed=False)) == 1
    assert count_fused(layers(3, fused=0, detailed=True)) == 0
    assert count_fused(layers(3, fused=1, detailed=True)) == 0
