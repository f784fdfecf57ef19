"""A running node, over DDS: its lifecycle, and what its diagnostics tell."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest
from support.places import EXAMPLES
from support.robot.ros_graph import encoded, needs_ros, node_command, ros_environment, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.robot.ros_graph import Graph

pytestmark = needs_ros
CONFIGURE, CLEANUP, ACTIVATE, DEACTIVATE, SHUTDOWN = 1, 2, 3, 4, 7  # of lifecycle_msgs/Transition
STAR = "What is the code on the white star?"
BENCH = (EXAMPLES / "bench.png").read_bytes()
LONG = json.dumps({"schema": {"type": "array", "minItems": 400, "items": {"enum": ["star"]}}, "max_tokens": 3000})


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    folder = tmp_path_factory.mktemp("graph")
    parameters = {"autostart": False, "bundle": str(folder / "none"), "image_transport": "compressed", "question": STAR}
    parameters["questoin"] = "What?"
    with running(folder, parameters, wait=False) as graph:
        yield graph


def state(graph: Graph) -> str:
    return str(graph.peer.do("state")["label"])


def test_a_bundle_that_cannot_be_opened_is_logged_and_told_and_the_node_waits_for_another(graph: Graph) -> None:
    assert state(graph) == "unconfigured"
    graph.peer.do("change_state", transition=CONFIGURE)
    assert state(graph) == "unconfigured"
    status = graph.peer.do("diagnostics")
    assert (status["level"], status["values"]["state"]) == (2, "unconfigured")
    assert "none" in status["message"]
    assert graph.log.count(status["message"]) == 1
    assert graph.peer.do("set", bundle="", max_tokens=16)["results"][0]["successful"]


def test_a_parameter_that_there_is_not_is_named_with_the_nearest_that_there_is(graph: Graph) -> None:
    assert graph.log.count("there is no parameter 'questoin'; did you mean 'question'?") == 1


def test_the_node_tells_that_it_opens_while_it_measures_the_machine(graph: Graph) -> None:
    graph.peer.do("set", budget_ms=250.0, mode="16x")  # so that opening takes seconds
    changed = graph.peer.do("change_state", transition=CONFIGURE)
    assert (changed["success"], "opening" in changed["told"]) == (True, True)
    assert graph.peer.do("change_state", transition=CLEANUP)["success"]
    graph.peer.do("set", budget_ms=0.0, mode="")


def test_a_configured_node_holds_the_model_and_an_active_one_answers(graph: Graph) -> None:
    assert graph.peer.do("change_state", transition=CONFIGURE)["success"]
    assert state(graph) == "inactive"
    empty = graph.peer.do("diagnostics")
    assert (empty["level"], empty["message"]) == (0, "inactive")
    reply = graph.peer.do("ask_short", question=STAR)
    assert reply["message"] == "the node is not active; activate it first"
    assert graph.peer.do("ask", question=STAR) == {"accepted": False}
    assert graph.log.count("a goal was rejected: the node is not active; activate it first") == 1
    assert graph.peer.do("change_state", transition=ACTIVATE)["success"]
    graph.peer.do("wait_for_node")
    graph.peer.do("send", kind="CompressedImage", data=encoded(BENCH))
    assert graph.peer.do("answer_json")["answer"] == "JX7"


def test_diagnostics_tell_what_the_node_did_and_what_it_takes(graph: Graph) -> None:
    status = graph.peer.told("frames_answered", 1)
    values = status["values"]
    assert (status["level"], status["name"], values["state"]) == (0, "uhd_edge: answers", "active")
    assert (values["frames_seen"], values["frames_dropped"], values["bundle"]) == ("1", "0", "uhd-tiny")
    assert (values["engine"], values["precision"]) == ("CPUExecutionProvider", "fp32")
    assert float(values["memory_mb"]) > 50
    assert float(values["first_token_ms"]) > 0


def test_what_utf_8_cannot_say_is_answered_all_the_same(graph: Graph) -> None:
    request = {"question": STAR, "options": '{"schema": {"enum": ["\\ud800"]}}'}  # half of a surrogate pair
    reply = graph.peer.do("ask_short", **request)
    assert reply["success"] or reply["message"]
    graph.peer.do("ask", **request)
    ended = graph.peer.do("ask_result")
    assert (ended["success"], ended["message"]) == (reply["success"], reply["message"])
    assert ended["answer"]["text"] == reply["answer"]["text"]


def test_a_broken_frame_is_a_warning_once_and_then_the_state_again(graph: Graph) -> None:
    graph.peer.do("send", kind="CompressedImage", data=encoded(b"no image"))
    status = graph.peer.told("frames_failed", 1)
    assert (status["level"], "not an image" in status["message"]) == (1, True)
    assert graph.log.count(status["message"]) == 1
    after = graph.peer.do("diagnostics")
    assert (after["level"], after["message"]) == (0, "active")
    assert after["values"]["last_error"] == status["message"]


def test_a_missed_budget_is_a_warning(graph: Graph) -> None:
    graph.peer.do("set", budget_ms=0.01, mode="16x")  # so that one mode is measured, not both
    graph.peer.do("send", kind="CompressedImage", data=encoded(BENCH))
    status = graph.peer.told("budget_missed", 1)
    assert (status["level"], status["message"].startswith("budget missed: first token after")) == (1, True)
    graph.peer.do("answer_json")
    answer = graph.peer.do("answer")
    while not answer["plan"]:
        answer = graph.peer.do("answer")
    assert (answer["plan"][0]["within_budget"], answer["plan"][0]["predicted_ms"] > 0) == (False, True)
    graph.peer.do("set", budget_ms=0.0, mode="")


def test_a_deactivated_node_keeps_the_model_and_a_cleaned_up_one_frees_it(graph: Graph) -> None:
    assert graph.peer.do("change_state", transition=DEACTIVATE)["success"]
    graph.peer.do("send", kind="CompressedImage", data=encoded(BENCH))
    assert graph.peer.do("ask_now")["message"] == "the node is not active; activate it first"
    assert graph.peer.do("change_state", transition=ACTIVATE)["success"]
    assert graph.peer.do("diagnostics")["values"]["frames_seen"] == "0"
    graph.peer.do("send", kind="CompressedImage", data=encoded(BENCH))
    assert graph.peer.do("answer_json")["answer"] == "JX7"
    assert graph.peer.do("change_state", transition=DEACTIVATE)["success"]
    assert graph.peer.do("change_state", transition=CLEANUP)["success"]
    freed = graph.peer.do("diagnostics")
    assert (freed["values"]["state"], state(graph)) == ("unconfigured", "unconfigured")
    assert graph.peer.do("set", threads=1)["results"][0]["successful"]
    assert graph.peer.do("change_state", transition=CONFIGURE)["success"]
    assert graph.peer.do("change_state", transition=ACTIVATE)["success"]
    graph.peer.do("wait_for_node")
    graph.peer.do("send", kind="CompressedImage", data=encoded(BENCH))
    assert graph.peer.do("answer_json")["answer"] == "JX7"


def test_a_shutdown_ends_the_answer_in_work_and_its_client_is_told(graph: Graph) -> None:
    assert graph.peer.do("ask", question="List the stars.", options=LONG)["accepted"]
    graph.peer.do("wait_for_text", pieces=1)
    assert graph.peer.do("change_state", transition=SHUTDOWN)["success"]
    ended = graph.peer.do("ask_result")
    assert (ended["status"], ended["message"]) == (6, "the node was deactivated")
    assert state(graph) == "finalized"


def test_a_parameter_that_is_wrong_from_the_start_ends_the_program_in_one_line(tmp_path: Path) -> None:
    environment = ros_environment(1) | {"ROS_LOG_DIR": str(tmp_path)}
    command = node_command({"mode": "8x"})
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "uhd: mode is '8x'; give one of '', '16x', '4x'\n"


def test_arguments_that_ros_does_not_know_end_the_program_in_one_line(tmp_path: Path) -> None:
    environment = ros_environment(1) | {"ROS_LOG_DIR": str(tmp_path)}
    command = [*node_command({}), "--bogus"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("uhd: ")
    assert done.stderr.count("\n") == 1
    assert "--bogus" in done.stderr
