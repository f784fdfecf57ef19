"""What extras bring, and the error for one that is not installed."""

from __future__ import annotations

from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal

from uhd_edge.engines.errors import MissingExtraError
from uhd_edge.engines.interrupts import raise_interrupt_behind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# For each extra: the names its packages are imported by, and their names on PyPI.
PACKAGES: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "pull": {
            "huggingface_hub": "huggingface-hub",
            "ml_dtypes": "ml-dtypes",
            "onnx_ir": "onnx-ir",
            "safetensors": "safetensors",
            "tokenizers": "tokenizers",
        },
        "export": {
            "gguf": "gguf",
            "huggingface_hub": "huggingface-hub",
            "ml_dtypes": "ml-dtypes",
            "onnx": "onnx",
            "onnx_ir": "onnx-ir",
            "safetensors": "safetensors",
            "tokenizers": "tokenizers",
            "torch": "torch",
            "transformers": "transformers",
        },
        "calibration": {
            "matplotlib": "matplotlib",
            "ml_dtypes": "ml-dtypes",
            "onnx": "onnx",
            "onnx_ir": "onnx-ir",
        },
        "schema": {"jsonschema": "jsonschema"},
        "openvino": {"openvino": "openvino"},
        "video": {"av": "av"},
        "parquet": {"pyarrow": "pyarrow"},
        "ray": {"ray": "ray"},
        "dora": {"dora": "dora-rs", "pyarrow": "pyarrow"},
        "serve": {
            "jsonschema": "jsonschema",
            "prometheus_client": "prometheus-client",
            "starlette": "starlette",
            "uvicorn": "uvicorn",
        },
    }
)


# What texts tell people to install by itself, with the bounds of pyproject.toml.
LLAMA_CPP: Final = "llama-cpp-python>=0.3.36,<0.4"
PYCUDA: Final = "pycuda>=2026.1"


@contextmanager
def extra_needed(
    extra: Literal["pull", "export", "calibration", "openvino", "schema", "parquet", "ray", "dora", "serve", "video"],
    what: str,
) -> Iterator[None]:
    """Raise `MissingExtraError` if the block imports a package of `extra` that is not installed.

    The message names `what`, which needs the package, and the command that installs it. Any
    other `ImportError` passes through, such as that of an installed but broken package. If a
    `KeyboardInterrupt` caused the `ImportError`, the interrupt is raised instead.
    """
    try:
        yield
    except ImportError as error:
        raise_interrupt_behind(error)
        package = PACKAGES[extra].get((error.name or "").partition(".")[0])
        if package is None or not isinstance(error, ModuleNotFoundError):
            raise
        raise MissingExtraError(f"{what} needs {package}: pip install 'uhd-edge[{extra}]'") from error
