"""Start the node: `ros2 launch uhd_edge_ros uhd_edge.launch.py image:=/camera/image_raw question:="Is it free?"`."""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode
from launch_ros.parameter_descriptions import ParameterValue


def generate_launch_description() -> LaunchDescription:
    """Describe the node, its parameters, and the topic of the camera."""
    parameters = Path(get_package_share_directory("uhd_edge_ros")) / "config" / "uhd_edge.yaml"
    return LaunchDescription(
        [
            DeclareLaunchArgument("image", default_value="/image", description="Topic of the camera."),
            DeclareLaunchArgument(
                "question",
                default_value="",
                description="The standing question, if it is not in the file of parameters.",
            ),
            DeclareLaunchArgument("params_file", default_value=str(parameters), description="Parameters of the node."),
            OpaqueFunction(function=describe_node),
        ]
    )


def describe_node(context: LaunchContext) -> list[LifecycleNode]:
    """Describe the node; the question counts as text even if it reads like YAML, and only if it was given."""
    question = LaunchConfiguration("question").perform(context)
    asked = [{"question": ParameterValue(question, value_type=str)}] if question else []
    return [
        LifecycleNode(
            package="uhd_edge_ros",
            executable="node",
            name="uhd_edge",
            namespace="",
            parameters=[LaunchConfiguration("params_file"), *asked],
            remappings=[
                ("image", LaunchConfiguration("image")),
                ("image/compressed", [LaunchConfiguration("image"), "/compressed"]),
            ],
            output="screen",
        )
    ]
