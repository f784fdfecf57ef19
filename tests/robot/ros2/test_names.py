"""A running node, over DDS, as others name and compose it: remaps, namespaces, QoS, a stopped clock, signals."""

from __future__ import annotations

import json
import random
import signal
import subprocess
from pathlib import Path

from support.robot import ros_graph
from support.robot.ros_graph import joined, needs_ros, node_command, ros_environment, ros_python, running

pytestmark = needs_ros
COMPOSED = Path(ros_graph.__file__).with_name("ros_composed.py")
QOS = "qos_overrides./camera/image_raw.subscription."


def test_a_node_of_another_name_follows_its_camera_and_tells_while_the_clock_stands_still(tmp_path: Path) -> None:
    words = ["-r", "__node:=left", "-r", "__ns:=/front", "-r", "image:=/camera/image_raw"]
    parameters = {"image_transport": "both", "use_sim_time": True, QOS + "reliability": "reliable", QOS + "depth": 2}
    with running(tmp_path, parameters, *words, wait=False) as graph:
        assert graph.peer.told_level(0, "active")["name"] == "front/left: answers"
        listens = graph.peer.do("listens", node="left", namespace="/front", least=2)
        assert list(listens) == ["/camera/image_raw", "/camera/image_raw/compressed"]
        assert listens["/camera/image_raw"] == "RELIABLE"  # as the parameter says; the depth is not told
        assert "there is no parameter" not in graph.log


def test_a_compressed_topic_may_have_a_name_of_its_own(tmp_path: Path) -> None:
    words = ["-r", "image:=/camera/image_raw", "-r", "image/compressed:=/small"]
    with running(tmp_path, {"image_transport": "both"}, *words, wait=False) as graph:
        listens = graph.peer.do("listens", node="uhd_edge", namespace="/", least=2)
        assert list(listens) == ["/camera/image_raw", "/small"]


def test_a_quality_of_service_that_there_is_not_is_told_and_the_node_waits(tmp_path: Path) -> None:
    with running(tmp_path, {"qos_overrides./image.subscription.reliability": "perfect"}, wait=False) as graph:
        status = graph.peer.told_level(2, "unconfigured")
        assert "perfect" in status["message"]
        assert graph.log.count(status["message"]) == 1


def test_ctrl_c_ends_the_node_while_it_opens(tmp_path: Path) -> None:
    environment = ros_environment(random.SystemRandom().randrange(1, 233))
    environment |= {"ROS_LOG_DIR": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    command = node_command({"budget_ms": 250.0})  # so that it measures for seconds
    with (
        joined(environment) as peer,
        subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as node,
    ):
        assert peer.do("diagnostics")["values"]["state"] == "opening"
        node.send_signal(signal.SIGINT)
        assert node.wait(30) == 0
        assert node.stderr is not None
        assert "Traceback" not in node.stderr.read()


def test_a_node_in_another_program_frees_the_model_when_it_fails_or_is_destroyed(
    tmp_path: Path,
) -> None:
    environment = ros_environment(random.SystemRandom().randrange(1, 233)) | {"ROS_LOG_DIR": str(tmp_path)}
    done = subprocess.run(
        [ros_python(), str(COMPOSED)], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    freed = {"answering": False, "open": False}
    assert json.loads(done.stdout) == {"failed": freed, "active": {"answering": True, "open": True}, "destroyed": freed}
