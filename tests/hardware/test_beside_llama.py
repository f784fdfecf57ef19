"""llama.cpp on the GPU beside our captures in the same process: a failing copy of its own would end the process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.hardware import beside_llama

from uhd_edge.engines.errors import UhdError
from uhd_edge.engines.tensorrt.cuda import CudaDevice
from uhd_edge.engines.tensorrt.library import INSTALL
from uhd_edge.runtime.llm.llama_library import find_gpus, llama_library, why_no_gpu

if TYPE_CHECKING:
    from uhd_edge.engines.tensorrt.gpu import Gpu

TIMES = 10


def test_answers_on_the_gpu_are_the_same_while_graphs_are_captured(gpu: Gpu, picture: Path) -> None:
    gpus = find_gpus(llama_library().api)
    if not gpus.found:
        pytest.skip(f"{why_no_gpu(gpus)}; see uhd doctor")
    try:
        CudaDevice(INSTALL["tensorrt"])
    except UhdError as error:
        pytest.skip(str(error))
    program = [sys.executable, "-m", beside_llama.__name__, str(picture), str(TIMES)]
    paths = os.pathsep.join(path for path in sys.path if path)
    ran = subprocess.run(program, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    print(ran.stdout)
    assert f"{TIMES} of {TIMES} the same" in ran.stdout
    assert "the same, 0 launches" not in ran.stdout  # a capture that fails is given up without a word
