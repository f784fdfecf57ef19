"""What a session spares: images that are not encoded again, and turns that are not read again."""

from __future__ import annotations

from typing import Any

import pytest
from support.conversations.retold import LONG_QUESTION
from support.images.squares import picture

from uhd_edge.engines.onnxruntime import OnnxRuntimeEngine
from uhd_edge.runtime import Assistant, Bundle
from uhd_edge.tiny.world.drawing import draw_picture
from uhd_edge.tiny.world.scenes import SLICED, draw_scene

QUESTION = "What is it?"


def test_ten_questions_about_a_scene_encode_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[int] = []
    run = OnnxRuntimeEngine.run

    def counted(engine: OnnxRuntimeEngine, inputs: Any) -> Any:
        runs.append(len(runs))
        return run(engine, inputs)

    monkeypatch.setattr(OnnxRuntimeEngine, "run", counted)
    scene = draw_picture(draw_scene("sessions", SLICED, (640, 480)))
    with Assistant(cache_bytes=0) as assistant:
        assistant.ask(scene, QUESTION, max_tokens=1)
        once = len(runs)
        assert once
        runs.clear()
        with assistant.session(scene) as session:
            answers = [session.ask(f"What is labelled {number}?", max_tokens=4) for number in range(10)]
            fork = session.fork()
            fork.ask(QUESTION, max_tokens=2)
        assert len(runs) == once
    vision = answers[0].usage.vision_tokens
    assert answers[0].usage.cached_tokens == 0
    for answer in answers[1:]:
        own = answer.usage.prompt_tokens - answer.usage.cached_tokens
        assert answer.usage.vision_tokens == vision
        assert own <= 64 + 30
        assert answer.timings_ms["encoder"] == 0


def test_forks_share_what_was_computed_and_go_on_by_themselves(trained: Bundle) -> None:
    scene = picture(5, (500, 400))
    with Assistant(trained, threads=1) as assistant:
        session = assistant.session(scene, max_slices=6)
        first, second = session.fork(), session.fork()
        answers = []
        for fork, question in ((first, LONG_QUESTION), (second, "Another? " * 30), (session, QUESTION)):
            answers.append(fork.ask(question, max_tokens=4))
            assert [asked for asked, _ in fork.history] == [question]
        vision = answers[0].usage.vision_tokens
        for answer in answers[1:]:
            assert answer.timings_ms["encoder"] == 0
        assert answers[1].usage.cached_tokens >= vision - 64
        assert first.history != second.history
        session.close()
        late = first.ask("And?", max_tokens=4)
        assert late.usage.cached_tokens > vision


def test_other_questions_cost_a_session_no_reading(trained: Bundle) -> None:
    with Assistant(trained, threads=1) as assistant:
        session, other = assistant.session(picture()), assistant.session(picture(1))
        session.ask(LONG_QUESTION, max_tokens=3)
        other.ask(LONG_QUESTION, max_tokens=3)
        assistant.ask(None, QUESTION, max_tokens=3)
        for asked in (session, other, session, other):
            usage = asked.ask(QUESTION, max_tokens=3).usage
            assert usage.prompt_tokens - usage.cached_tokens <= 64 + 64 + 60
        assert assistant._places[0].memory.nbytes > 0
        session.close()
        other.close()
        assert assistant._places[0].memory.nbytes == 0
