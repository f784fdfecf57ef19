"""The order of the floors: a room may import rooms below it, and none above it.

A room is a module, or a folder with everything in it. A module of a folder has its own entry here
if it stands on another floor than the folder. A module belongs to the room with the longest name
that fits. Rooms in one line are on the same floor and must not import each other.
"""

from __future__ import annotations

FLOORS: tuple[tuple[str, ...], ...] = (
    # engines: named arrays in, named arrays out
    ("engines",),  # its own modules: the engine's interface, errors, ONNX Runtime, OpenVINO
    ("engines.tensorrt",),
    ("engines.building",),
    ("engines.selection",),
    # runtime: the on-device path, from what everything uses to the doors
    ("runtime.modes", "runtime.timing", "runtime.user_cache", "runtime.release"),
    ("runtime.answer",),
    ("runtime.errors",),
    ("runtime.validation",),
    ("runtime.schema", "runtime.images", "runtime.bundles"),
    ("runtime.tools",),
    ("runtime.vision",),
    ("runtime.llm",),
    ("runtime.prompt",),
    ("runtime.conversation",),
    ("runtime.budget", "runtime.generation"),
    ("runtime.options",),
    ("runtime.ask_methods",),
    ("runtime.answering", "runtime.checking"),
    ("runtime.memory",),
    ("runtime.session",),
    ("runtime.assistant",),
    ("runtime.worker", "runtime.watch"),
    ("runtime.async_assistant",),
    ("runtime",),
    # from a checkpoint to a bundle
    ("export.tower_config", "export.places"),
    ("export.rotary",),
    ("export.attention",),
    ("export.compressors", "export.connectors", "export.reuse"),
    ("export.tower",),
    ("export.checkpoint",),
    ("export.graphs",),
    ("export.language_model",),
    ("export",),
    ("export.pulling",),
    # INT8
    ("calibration.pictures", "calibration.saved_work", "calibration.shipped", "calibration.work"),
    ("calibration.ranges",),
    ("calibration.graphs",),
    ("calibration",),
    # what uses all of the above
    ("bench.synthetic", "tiny.world"),
    ("bench", "tiny.training", "server"),
    ("rows",),
    ("batch.finished", "batch.order"),
    ("batch.groups",),
    ("batch.row",),
    ("batch.outputs", "batch.answering"),
    ("batch",),
    ("batch.cluster",),
    ("evaluation.metrics", "evaluation.significance"),
    ("evaluation.data",),
    ("evaluation.asking",),
    ("evaluation.report",),
    ("evaluation",),
    ("tiny.measuring",),
    ("tiny.experiments",),
    ("cli",),
    ("cli.commands",),
    ("robot.pixels",),
    ("robot",),
    ("robot.ros2",),
    ("tiny",),
    ("",),  # the package itself
)
