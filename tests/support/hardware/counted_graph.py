"""CUDA graphs that count themselves: those that are open, and how often captured ones were launched."""

from __future__ import annotations

from typing import Any

from uhd_edge.engines.tensorrt.cuda_graph import CudaGraph


class CountedGraph(CudaGraph):
    open = launches = 0

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        CountedGraph.open += 1

    def launch(self, stream: int) -> None:
        CountedGraph.launches += 1
        super().launch(stream)

    def free(self) -> None:
        CountedGraph.open -= 1
        super().free()
