"""The node's parameters, as ROS declares them."""

# ROS is on the package index for few machines.
# pyright: reportMissingImports=false

from __future__ import annotations

from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor

from uhd_edge.robot.ros2.parameters import PARAMETERS, Parameter


def declare_parameters(node: Any) -> dict[str, Any]:
    """Declare all parameters and return their values, which a launch or parameter file may have set."""
    declared = node.declare_parameters(
        "", [(parameter.name, _default(parameter), _descriptor(parameter)) for parameter in PARAMETERS]
    )
    return {parameter.name: parameter.value for parameter in declared}


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
