"""The node's parameters, as ROS declares them."""

# ROS is on the package index for few machines.
# pyright: reportMissingImports=false

from __future__ import annotations

import difflib
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor

from uhd_edge.robot.ros2.parameters import PARAMETERS, Parameter


def declare_parameters(node: Any) -> dict[str, Any]:
    """Declare all parameters and return their values, which a launch or parameter file may have set."""
    declared = node.declare_parameters(
        "", [(parameter.name, _default(parameter), _descriptor(parameter)) for parameter in PARAMETERS]
    )
    return {parameter.name: parameter.value for parameter in declared}


def find_unknown(node: Any) -> list[str]:
    """Return a warning for each parameter that was given and that the node does not have, with the nearest name.

    They are no errors: a file of parameters may serve several nodes.
    """
    known = {parameter.name for parameter in PARAMETERS}
    given = getattr(node, "_parameter_overrides", {})  # rclpy tells them nowhere else
    return [
        f"there is no parameter {name!r}; {_nearest(name, known)}"
        for name in sorted(given)
        if not node.has_parameter(name) and not name.startswith("qos_overrides.")
    ]


def _nearest(name: str, known: set[str]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    return f"did you mean {close[0]!r}?" if close else "--help lists them"


def _default(parameter: Parameter) -> Any:
    return list(parameter.default) if isinstance(parameter.default, tuple) else parameter.default


def _descriptor(parameter: Parameter) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(name=parameter.name, description=parameter.description)
    limits = []
    if parameter.choices:
        limits.append("One of " + ", ".join(repr(choice) for choice in parameter.choices) + ".")
    if parameter.fixed:
        limits.append("Fixed while the model is open.")
    descriptor.additional_constraints = " ".join(limits)
    if parameter.least is not None and parameter.most is not None:
        if isinstance(parameter.default, float):
            descriptor.floating_point_range = [FloatingPointRange(from_value=parameter.least, to_value=parameter.most)]
        else:
            whole = IntegerRange(from_value=int(parameter.least), to_value=int(parameter.most), step=1)
            descriptor.integer_range = [whole]
    return descriptor
