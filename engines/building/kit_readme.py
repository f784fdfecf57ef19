"""What a kit's README.txt says: every command of a fresh JetPack, from its packages to the first question."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uhd_edge.engines.extras import LLAMA_CPP, PYCUDA
from uhd_edge.engines.tensorrt.library import DLA_COMPILER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from uhd_edge.engines.building.build import EngineOrder
    from uhd_edge.engines.building.targets import JetPack, Target

_PACKAGES = ["tensorrt", "python3-libnvinfer", "python3-venv", "python3-dev", "build-essential"]

_README = """\
uhd-edge: engines for {device}, JetPack {jetpack} (TensorRT {tensorrt}, CUDA {cuda}, Python {python})

Copy this folder to the device, then run there:

    sudo apt install {packages}
    export PATH=/usr/local/cuda/bin:$PATH           # nvcc, which pycuda and llama.cpp are compiled with
    python3 -m venv --system-site-packages venv     # to find JetPack's TensorRT
    . venv/bin/activate
    CMAKE_ARGS="-DGGML_CUDA=on -DCMAKE_CUDA_ARCHITECTURES={architecture}" CMAKE_BUILD_PARALLEL_LEVEL=2 \\
        pip install "{llama_cpp}"   # the language model on the GPU; half an hour or more
    pip install ./{wheel} "{pycuda}"
    ./build.sh photo.jpg
    uhd ask photo.jpg "What is on the table?" --bundle bundle

build.sh builds {engines} with the device's own TensorRT. Before the engines are
used, it compares them with FP32 on the pictures it is given, or on synthetic ones. It can be
run again: finished engines are kept. Building only needs JetPack's trtexec (apt install
tensorrt). Running and comparing also need its Python package (apt install python3-libnvinfer)
and pycuda, which pip compiles with JetPack's CUDA toolkit.{dla}

uhd-edge is installed from the wheel in this folder. Without the line about llama-cpp-python,
its language model runs on the CPU; `uhd doctor` says which it is. On a board of 8 GB, close
the desktop before building, and keep CMAKE_BUILD_PARALLEL_LEVEL at 2.
"""

_DLA = f"""

On JetPack 6, TensorRT needs the library libnvdla_compiler.so, on boards without a DLA too. Not
every installation has its package, {DLA_COMPILER}. If the library is still not found
after that, run sudo ldconfig."""


def describe_kit(orders: Sequence[EngineOrder], target: Target, jetpack: JetPack, wheel: str) -> str:
    """Return the text of a kit's README.txt; `wheel` is the file name of uhd-edge's own."""
    packages = [*_PACKAGES, DLA_COMPILER] if jetpack.version.startswith("6.") else _PACKAGES
    return _README.format(
        device=target.device,
        jetpack=jetpack.version,
        tensorrt=jetpack.tensorrt,
        cuda=jetpack.cuda,
        python=jetpack.python,
        engines=", ".join(order.name for order in orders),
        architecture=(target.compute_capability or "").replace(".", ""),
        packages=" ".join(packages),
        llama_cpp=LLAMA_CPP,
        pycuda=PYCUDA,
        dla=_DLA if DLA_COMPILER in packages else "",
        wheel=wheel,
    )
