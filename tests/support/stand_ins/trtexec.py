"""Stands in for the trtexec of TensorRT 10.3 on a Jetson Orin: checks its arguments, and prints the same lines.

Flags must be in the documented list beside this file. Files and shapes must fit each other. The
lines are taken from real logs. TRTEXEC_DOES makes it do something else:

    fail-build, fail-run   report an error and exit with 1
    lie                    report an error and exit with 0
    crash                  be killed
    abort                  abort
    empty                  pass without writing an engine
    unfused                list no fused attention among the layers
    partly-fused           list a fused attention in the first profile alone
    slow-padding           take longer with padded attention heads than without, instead of less long
    silent                 tell no times
    uint8                  warn as the parser does about uint8 Q/DQ
    other-gpu, other-version, no-version
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

FLAGS = Path(__file__).with_name("trtexec_10_3_flags.txt")
MARK = b"an engine of the stand-in\n"
TIMINGS = b"timings"
STAMP = "[11/22/2026-10:00:00]"


class TrtexecError(Exception):
    """An error that trtexec would report."""


def main(arguments: list[str], does: str) -> int:
    """Do what trtexec would do with `arguments`. Returns the exit code."""
    version = {"other-version": "v101302] [b6", "no-version": "v"}.get(does, "v100300")
    call = f"TensorRT.trtexec [TensorRT {version}] # trtexec {' '.join(arguments)}"
    print(f"&&&& RUNNING {call}")
    if "--help" in arguments:
        print("=== Model Options ===")
        return 0
    if does == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if does == "abort":
        signal.signal(signal.SIGABRT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGABRT)
    try:
        options = read_options(arguments)
        say("I", "=== Device Information ===")
        say("I", "Selected Device: " + ("NVIDIA GeForce RTX 4090" if does == "other-gpu" else "Orin"))
        say("I", "Compute Capability: " + ("8.9" if does == "other-gpu" else "8.7"))
        say("I", "TensorRT version: 10.3.0")
        if does == "uint8":
            say("W", "[TRT] onnxOpImporters.cpp:1980: TensorRT supports QuantizeLinear/DequantizeLinear with UINT8 "
                "zero_point only on DLA (version >= 3.16). Defaulting to INT8 instead.")  # fmt: skip
        if "--loadEngine" in options:
            run(options, does)
        else:
            build(options, does)
    except TrtexecError as error:
        say("E", str(error))
        print(f"&&&& FAILED {call}")
        return 0 if does == "lie" else 1
    print(f"&&&& PASSED {call}")
    return 0


def read_options(arguments: list[str]) -> dict[str, list[str]]:
    """Flags and their values. Raises if version 10.3 does not have a flag."""
    known = [line for line in FLAGS.read_text().splitlines() if line and not line.startswith("#")]
    options: dict[str, list[str]] = {}
    for argument in arguments:
        flag, equals, value = argument.partition("=")
        if flag + equals not in known:
            raise TrtexecError(f"Unknown option: {flag} {value}")
        options.setdefault(flag, []).append(value)
    return options


def build(options: dict[str, list[str]], does: str) -> None:
    """Write a file that stands for an engine."""
    graph = Path(options["--onnx"][0])
    if not graph.is_file():
        raise TrtexecError(f"[TRT] ModelImporter.cpp:732: Failed to open file: {graph}")
    for weights in (b"encoder-fp16.weights", b"connector-fp16.weights"):
        if weights in graph.read_bytes() and not (graph.parent / weights.decode()).is_file():
            raise TrtexecError(f"[TRT] Failed to open file: {weights.decode()}")
    if "--stronglyTyped" not in options or {"--fp16", "--int8", "--best"} & set(options):
        raise TrtexecError("Strongly typed and precision flags do not go together")
    if "--skipInference" not in options:
        raise TrtexecError("This would measure for minutes")
    profiles = read_profiles(options)
    say("I", f"{len(profiles)} profiles for {', '.join(profiles[0])}")
    cache = Path(options["--timingCacheFile"][0])
    if cache.is_file() and cache.read_bytes() != TIMINGS:
        raise TrtexecError("TimingCache creation failed")
    if does in ("fail-build", "lie"):
        raise TrtexecError("Engine could not be created from network")
    if does != "empty":
        Path(options["--saveEngine"][0]).write_bytes(MARK + graph.name.encode())
    cache.write_bytes(TIMINGS)
    if "--exportLayerInfo" in options:
        detailed = options.get("--profilingVerbosity") == ["detailed"]
        Path(options["--exportLayerInfo"][0]).write_text(
            layers(len(profiles), fused={"unfused": 0, "partly-fused": 1}.get(does, len(profiles)), detailed=detailed)
        )


def layers(profiles: int, *, fused: int, detailed: bool) -> str:
    """The layers of an engine with one attention, fused in the first profiles, as TensorRT's inspector writes them."""
    names = [
        (kernel, f"{kernel}_myl{profile}_4" + (f" [profile {profile}]" if profile else ""))
        for profile in range(profiles)
        for kernel in (["_gemm_mha_v2"] if profile < fused else ["__myl_bb1_2_MulMaxSub", "__myl_ExpSumDiv"])
    ]
    if not detailed:
        return '{"Layers": [' + "\n,".join(f'"{name}"' for _, name in names) + "]}"
    described = [
        f'''{{
  "Name": "{name}",
  "LayerType": "kgen",
  "Inputs": [
  {{
    "Name": "__mye17",
    "Dimensions": [16,1024,72],
    "Format/Datatype": "Half"
  }}],
  "TacticName": "{kernel}_0xbce0",
  "StreamId": 0,
  "Metadata": ""
}}'''
        for kernel, name in names
    ]
    return '{"Layers": [' + ",".join(described) + '],\n"Bindings": ["patches"]}'


def read_profiles(options: dict[str, list[str]]) -> list[list[str]]:
    """The names of the inputs in each profile. Raises if shapes contradict each other."""
    bounds = [[read_shapes(text) for text in options[f"--{flag}Shapes"]] for flag in ("min", "opt", "max")]
    if len({len(shapes) for shapes in bounds}) != 1:
        raise TrtexecError("Must specify all of --minShapes, --optShapes, --maxShapes")
    numbers = options.get("--profile", ["0"])
    if numbers != [str(number) for number in range(len(bounds[0]))]:
        raise TrtexecError("Profiles must have contiguous indices")
    for least, usual, most in zip(*bounds, strict=True):
        if not least.keys() == usual.keys() == most.keys():
            raise TrtexecError("Profiles name different inputs")
        for name in least:
            if not all(a <= b <= c for a, b, c in zip(least[name], usual[name], most[name], strict=True)):
                raise TrtexecError(f"[TRT] Bad profile for {name}")
    return [list(shapes) for shapes in bounds[0]]


def read_shapes(text: str) -> dict[str, list[int]]:
    """Read shapes such as `a:1x2,b:3`."""
    return {
        name: [int(size) for size in sizes.split("x")] for name, _, sizes in (s.partition(":") for s in text.split(","))
    }


def run(options: dict[str, list[str]], does: str) -> None:
    """Load an engine that `build` wrote."""
    engine = Path(options["--loadEngine"][0])
    read_shapes(options["--shapes"][0])
    if not engine.is_file() or not engine.read_bytes().startswith(MARK):
        raise TrtexecError("Engine deserialization failed")
    if does == "fail-run":
        raise TrtexecError("Error occurred during inference")
    say("I", "Throughput: 312.4 qps")
    if does != "silent":
        median = (6.2 if does == "slow-padding" else 4.8) if b"padded" in engine.read_bytes() else 5.5
        spread = f"min = 4.1 ms, max = 9.3 ms, mean = 5.0 ms, median = {median} ms, percentile(90%) = 8.8 ms"
        say("I", f"Latency: {spread.replace('median = ', 'median = 1')}")
        say("I", f"GPU Compute Time: {spread}, percentile(95%) = 8.9 ms, percentile(99%) = 9.1 ms")
        say("I", "Total GPU Compute Time: 2.96536 s")


def say(level: str, line: str) -> None:
    """Print a line as trtexec logs it."""
    print(f"{STAMP} [{level}] {line}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ.get("TRTEXEC_DOES", "")))
