"""Capturing a CUDA graph, against a pretended driver library."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest
from support.pretended_gpu.engine import message

from uhd_edge.engines.errors import EngineError
from uhd_edge.engines.tensorrt import cuda_graph
from uhd_edge.engines.tensorrt.cuda_graph import CudaGraph


class Driver:
    """The functions of libcuda that a capture calls; `failing` are those that return an error."""

    def __init__(self, failing: set[str]) -> None:
        self.calls: list[str] = []
        for name in cuda_graph._ARGUMENTS:
            setattr(self, name, self._function(name, 900 if name in failing else 0))

    def _function(self, name: str, code: int) -> Any:
        def function(*arguments: Any) -> int:
            self.calls.append(name)
            for argument in arguments:
                handle = getattr(argument, "_obj", None)
                if code == 0 and isinstance(handle, ctypes.c_void_p):
                    handle.value = len(self.calls)
            return code

        return function


def captured(monkeypatch: pytest.MonkeyPatch, *failing: str) -> Driver:
    driver = Driver(set(failing))
    monkeypatch.setattr(cuda_graph, "_load_driver", lambda: driver)
    return driver


def test_a_capture_is_recorded_launched_and_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = captured(monkeypatch)
    graph = CudaGraph(7, lambda: driver.calls.append("enqueue") is None)
    graph.launch(7)
    graph.free()
    assert driver.calls == [
        "cuStreamBeginCapture_v2",
        "enqueue",
        "cuStreamEndCapture",
        "cuGraphInstantiateWithFlags",
        "cuGraphDestroy",
        "cuGraphLaunch",
        "cuGraphExecDestroy",
    ]


def test_a_failed_capture_ends_the_capture_and_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = captured(monkeypatch)
    assert "cannot be captured" in message(EngineError, CudaGraph, 7, lambda: False)
    assert "cuStreamEndCapture" in driver.calls
    driver = captured(monkeypatch)
    with pytest.raises(ZeroDivisionError):
        CudaGraph(7, lambda: bool(1 // 0))
    assert "cuStreamEndCapture" in driver.calls
    driver = captured(monkeypatch, "cuStreamEndCapture")
    assert "CUDA error 900" in message(EngineError, CudaGraph, 7, lambda: True)
    driver = captured(monkeypatch, "cuGraphInstantiateWithFlags")
    assert "cuGraphInstantiateWithFlags failed" in message(EngineError, CudaGraph, 7, lambda: True)
    assert driver.calls[-1] == "cuGraphDestroy"
