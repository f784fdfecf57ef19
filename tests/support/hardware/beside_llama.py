"""Asks uhd-tiny on a GPU while another thread captures and launches CUDA graphs in the same process; run as a program.

It prints how often the answers were those of the language model alone, and how often captured graphs were launched
meanwhile.
"""

from __future__ import annotations

import sys
import tempfile
import threading
from pathlib import Path

from support.hardware.computing_engine import computing_package
from support.hardware.counted_graph import CountedGraph
from support.pretended_gpu.engine import check

from uhd_edge.engines.tensorrt import engine as ours
from uhd_edge.engines.tensorrt import executions
from uhd_edge.engines.tensorrt.engine import TensorRtEngine
from uhd_edge.runtime.assistant import Assistant

QUESTION = "What is the code on the white star?"


def capture(file: Path, stop: threading.Event, errors: list[BaseException]) -> None:
    """Run shapes three times each, so that each is captured and launched, until `stop`."""
    try:
        with TensorRtEngine(file, backend="tensorrt") as engine:
            while not stop.is_set():
                for length in range(2, 65):
                    for seed in range(3):
                        check(engine, 4, length, seed)
    except BaseException as error:
        errors.append(error)


def main(picture: str, times: int) -> None:
    """Ask alone, then `times` times beside the engine."""
    package = computing_package()
    ours.import_tensorrt = lambda _: package  # type: ignore[assignment]
    executions.CudaGraph = CountedGraph  # type: ignore[misc]
    stop, errors = threading.Event(), list[BaseException]()
    with tempfile.TemporaryDirectory() as folder, Assistant(gpu_layers=-1, cache_bytes=0) as assistant:
        (file := Path(folder, "encoder.engine")).write_bytes(b"engine")
        alone = assistant.ask(picture, QUESTION, max_tokens=24).text
        thread = threading.Thread(target=capture, args=(file, stop, errors))
        thread.start()
        answers = [assistant.ask(picture, QUESTION, max_tokens=24).text for _ in range(times)]
        stop.set()
        thread.join()
    for error in errors:
        raise error
    launches = f"{CountedGraph.launches} launches of captured graphs meanwhile"
    print(f"{alone!r}: {answers.count(alone)} of {times} the same, {launches}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
