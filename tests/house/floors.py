"""The order of the floors: a room may import what stands below it, and nothing that stands above.

A room is a module, or a folder with all that lies in it. A folder's own modules are named here
where they stand on another floor than the folder. Every module belongs to the room with the
longest name that fits it. Rooms in one line are on the same floor and do not know each other.
"""

from __future__ import annotations

FLOORS: tuple[tuple[str, ...], ...] = (
    # engines: named arrays in, named arrays out
    ("engines",),  # its own modules: the engine's interface, errors, ONNX Runtime, OpenVINO
    ("engines.tensorrt",),
    ("engines.building",),
    ("engines.selection",),
    # runtime: the on-device path, from what it stands on to its doors
    ("runtime.modes", "runtime.timing", "runtime.user_cache", "runtime.release"),
    ("runtime.answer",),
    ("runtime.errors",),
    ("runtime.validation",),
    ("runtime.schema", "runtime.images", "runtime.bundles"),
    ("runtime.vision",),
    ("runtime.llm",),
    ("runtime.prompt",),
    ("runtime.conversation",),
    ("runtime.budget",),
    ("runtime.options",),
    ("runtime.ask_methods",),
    ("runtime.answering", "runtime.checking"),
    ("runtime.session",),
    ("runtime.assistant",),
    ("runtime.worker", "runtime.watch"),
    ("runtime.async_assistant",),
    ("runtime",),
    # from a checkpoint to a bundle
    ("export.tower", "export.reuse"),
    ("export.checkpoint",),
    ("export.graphs",),
    ("export.language_model",),
    ("export",),
    # INT8
    ("calibration.pictures",),
    ("calibration.ranges",),
    ("calibration.graphs",),
    ("calibration",),
    # what is made with all of it
    ("bench.synthetic", "tiny.world"),
    ("bench", "tiny.training", "server"),
    ("tiny.measuring",),
    ("cli",),
    ("cli.commands",),
    ("robot",),
    ("tiny",),
    ("",),  # the package's face
)
