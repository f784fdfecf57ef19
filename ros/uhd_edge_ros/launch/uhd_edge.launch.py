"""Start the node: `ros2 launch uhd_edge_ros uhd_edge.launch.py image:=/camera/image_raw question:="Is it free?"`."""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode


def generate_launch_description() -> LaunchDescription:
    """Describe the node, its parameters, and the topic of the camera."""
    parameters = Path(get_package_share_directory("uhd_edge_ros")) / "config" / "uhd_edge.yaml"
    return LaunchDescription(
        [
            DeclareLaunchArgument("image", default_value="/image", description="Topic of the camera."),
            DeclareLaunchArgument("question", default_value="", description="The standing question."),
            DeclareLaunchArgument("params_file", default_value=str(parameters), description="Parameters of the node."),
            LifecycleNode(
                package="uhd_edge_ros",
                executable="node",
                name="uhd_edge",
                namespace="",
                parameters=[LaunchConfiguration("params_file"), {"question": LaunchConfiguration("question")}],
                remappings=[
                    ("image", LaunchConfiguration("image")),
                    ("image/compressed", [LaunchConfiguration("image"), "/compressed"]),
                ],
                output="screen",
            ),
        ]
    )
