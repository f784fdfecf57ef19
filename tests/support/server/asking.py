"""Bodies read by the dialects of a server, without one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from uhd_edge.server.model_facts import ModelFacts
from uhd_edge.server.ollama.dialects import Ollama
from uhd_edge.server.openai.chat import ChatCompletions
from uhd_edge.server.responses.dialect import Responses

if TYPE_CHECKING:
    from uhd_edge.server.dialect import Asked, Dialect

AGENT = ModelFacts("uhd-tiny", ("16x", "4x"), "16x", 9, 4096, thinks=True, calls=True)
PLAIN = ModelFacts("uhd-tiny", ("16x", "4x"), "16x", 9, 4096, thinks=False, calls=False)
ALWAYS = ModelFacts("uhd-tiny", ("16x", "4x"), "16x", 9, 4096, thinks=False, calls=False, always_thinks=True)

SAID: Any = [{"role": "user", "content": "What?"}]
TOOL = {"type": "function", "function": {"name": "go", "parameters": {"type": "object", "properties": {}}}}
STOP = {"type": "function", "function": {"name": "stop"}}

chat, responses = ChatCompletions(AGENT), Responses(AGENT)
ollama_chat, ollama_generate = Ollama(AGENT, "chat"), Ollama(AGENT, "generate")


def read(dialect: Dialect, **body: Any) -> Asked:
    return dialect.read(json.dumps(body).encode())[0]


def asked(dialect: Dialect, **body: Any) -> Asked:
    """What is asked with a question's least, and a body beside it."""
    prompt = isinstance(dialect, Ollama) and dialect.kind == "generate"
    least = (
        {"input": "What?"} if isinstance(dialect, Responses) else {"prompt": "What?"} if prompt else {"messages": SAID}
    )
    return read(dialect, **{"model": "uhd-tiny", **least, **body})
