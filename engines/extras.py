"""What is said where the packages of an extra are not installed."""

from __future__ import annotations

from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal

from uhd_edge.engines.errors import MissingExtraError
from uhd_edge.engines.interrupts import raise_interrupt_behind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# What each extra's packages are imported as.
PACKAGES: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "export": {
            "gguf": "gguf",
            "huggingface_hub": "huggingface-hub",
            "onnx": "onnx",
            "onnx_ir": "onnx-ir",
            "safetensors": "safetensors",
            "tokenizers": "tokenizers",
            "torch": "torch",
            "transformers": "transformers",
        },
        "calibration": {"matplotlib": "matplotlib", "onnx": "onnx", "onnx_ir": "onnx-ir"},
        "schema": {"jsonschema": "jsonschema"},
        "openvino": {"openvino": "openvino"},
        "video": {"av": "av"},
        "dora": {"dora": "dora-rs", "pyarrow": "pyarrow"},
        "serve": {
            "jsonschema": "jsonschema",
            "prometheus_client": "prometheus-client",
            "starlette": "starlette",
            "uvicorn": "uvicorn",
        },
    }
)


@contextmanager
def extra_needed(
    extra: Literal["export", "calibration", "openvino", "schema", "dora", "serve", "video"], what: str
) -> Iterator[None]:
    """Answer a package of `extra` that is not there with the line that installs it: `what` needs it.

    Raises `MissingExtraError`; any other `ImportError` stays what it is, as that of a package
    which is there and broken, and the `KeyboardInterrupt` behind one is raised as such.
    """
    try:
        yield
    except ImportError as error:
        raise_interrupt_behind(error)
        package = PACKAGES[extra].get((error.name or "").partition(".")[0])
        if package is None or not isinstance(error, ModuleNotFoundError):
            raise
        raise MissingExtraError(f"{what} needs {package}: pip install 'uhd-edge[{extra}]'") from error
