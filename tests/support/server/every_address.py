"""The same question for every address that takes questions."""

from __future__ import annotations

from typing import Any

from support.running_server import CHAT, asked

RESPONSES, OLLAMA_CHAT, OLLAMA_GENERATE = "/v1/responses", "/api/chat", "/api/generate"
ADDRESSES = (CHAT, RESPONSES, OLLAMA_CHAT, OLLAMA_GENERATE)


def question(path: str, text: str, *images: str, most: int | None = None) -> dict[str, Any]:
    """A body for an address: images, each a URL or base64, then a text; the answer is whole, and of `most` tokens."""
    if path == CHAT:
        return asked(*images, f"?{text}", **({} if most is None else {"max_tokens": most}))
    if path == RESPONSES:
        parts = [{"type": "input_image", "image_url": image, "detail": "auto"} for image in images]
        content = [*parts, {"type": "input_text", "text": text}]
        limit = {} if most is None else {"max_output_tokens": most}
        return {"model": "uhd-tiny", "input": [{"role": "user", "content": content}], **limit}
    settings = {"model": "uhd-tiny", "stream": False, "options": {} if most is None else {"num_predict": most}}
    if path == OLLAMA_GENERATE:
        return {**settings, "prompt": text, "images": list(images)}
    return {**settings, "messages": [{"role": "user", "content": text, "images": list(images)}]}


def said(path: str, reply: Any) -> str:
    """The text of an answer."""
    if path == CHAT:
        return str(reply["choices"][0]["message"]["content"])
    if path == RESPONSES:
        return str(reply["output"][-1]["content"][0]["text"])
    return str(reply["response"] if path == OLLAMA_GENERATE else reply["message"]["content"])


def refusal(path: str, reply: Any) -> str:
    """The message of an error."""
    error = reply["error"]
    message = error if path.startswith("/api/") else error["message"]
    assert isinstance(message, str)
    return message
