"""What was measured of the memory of the programs that we use, or is assumed where nothing could be measured.

Measured: random weights in MiniCPM-V 4.6's sizes and uhd-tiny on two cores of an AMD Zen 3 and of a Zen 4, with ONNX
Runtime 1.32, OpenVINO 2026.4, llama.cpp of llama-cpp-python 0.3.36 and TensorRT-RTX 1.7; always the peak
of what is resident. No Jetson was measured: what is said of one is assumed, on the safe side.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from uhd_edge.engines.building.targets import BuiltPrecision

# Python with its packages, and the libraries of an engine and of llama.cpp.
PROGRAM: Final = 100_000_000

# Where its usual INT8 products would overflow, ONNX Runtime is told to compute exactly, and keeps half of the weights
# a second time. Measured with and without on the Zen 4.
ONNXRUNTIME_EXACT_WEIGHTS: Final = 1.5
# Numbers of 4 bytes for every patch in a batch, in widths of the tower's MLP and of the tower.
ACTIVATIONS_IN_MLP_WIDTHS: Final = 4
ACTIVATIONS_IN_WIDTHS: Final = 16
# INT8 graphs hold about this share of it.
ACTIVATIONS_KEPT_BY_INT8: Final = 0.4
# Scores of attention, numbers for every pair of patches: before and after the softmax.
SCORES: Final = 2
# Width of a head of SigLIP 2 so400m, the vision tower of every known checkpoint; manifests do not say it.
HEAD_SIZE: Final = 72

# llama.cpp's table of tokens, for each token of the vocabulary.
VOCABULARY_TOKEN: Final = 240
# Numbers of 4 bytes for each token of a batch, in widths of an embedding: hybrids hold more states.
COMPUTE_IN_WIDTHS: Final = 20
COMPUTE_IN_WIDTHS_OF_HYBRID: Final = 41
# Types of ggml that llama.cpp packs for the processor, keeping both: Q4_0, Q4_K, IQ4_NL on x86; on ARM more.
PACKED_ON_X86: Final = frozenset({2, 12, 20})
PACKED_ON_ARM: Final = frozenset({2, 8, 12, 13, 14, 20})

# TensorRT-RTX holds the graph's weights this many times while it builds, with two profiles and with four. Quantized
# weights are smaller, and what does not depend on them is not; those were measured on the Zen 4. What does not depend
# on weights at all was measured with uhd-tiny's encoder, whose weights are 8 MB; a connector alone takes half of it.
BUILDING_WEIGHTS: Final[Mapping[BuiltPrecision, float]] = MappingProxyType(
    {"fp16": 3.4, "int8": 3.75, "fp8": 3.75, "nvfp4": 4.6}
)
BUILDING_PROGRAM: Final = 420_000_000

# TensorRT on a Jetson, where CPU and GPU share the memory: as TensorRT-RTX, and the parser's copy of the weights,
# which TensorRT 10.3 makes and 10.13 does not.
JETSON_PARSER_COPY: Final = 1.0
JETSON_CUDA: Final = 700_000_000  # CUDA's context and the libraries of CUDA and TensorRT
JETSON_CONTEXTS: Final = 150_000_000  # contexts, captured graphs, and kernels that are loaded
# What a machine's own programs take of its memory without a desktop, assumed; with one it is about 0.8 GB more.
SYSTEM: Final = 800_000_000
