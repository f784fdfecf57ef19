"""The ROS package: its program is that of uhd-edge, which pip installs."""

from setuptools import setup

NAME = "uhd_edge_ros"

setup(
    name=NAME,
    version="0.1.0",
    packages=[NAME],
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        (f"share/{NAME}/launch", ["launch/uhd_edge.launch.py"]),
        (f"share/{NAME}/config", ["config/uhd_edge.yaml", "config/fastdds.xml"]),
    ],
    install_requires=["setuptools"],
    zip_safe=True,
    maintainer="The authors of uhd-edge",
    maintainer_email="uhd-edge@users.noreply.github.com",
    description="A node that answers questions about the newest camera frame, on the robot itself.",
    license="Apache-2.0",
    entry_points={"console_scripts": [f"node = {NAME}.node:main"]},
)
