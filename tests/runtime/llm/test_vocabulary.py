"""Texts as token ids, and token ids as bytes."""

from __future__ import annotations

from support.tiny_gguf import token_id

from uhd_edge.runtime.llm.language_model import LanguageModel


def test_special_tokens_are_single_ids_and_leave_no_text(model: LanguageModel) -> None:
    ids = model.vocabulary.tokenize("<image>a</image>")
    assert ids == [token_id("<image>"), token_id("a"), token_id("</image>")]
    assert b"".join(map(model.vocabulary.token_bytes, ids)) == b"a"


def test_pieces_of_every_byte_come_back(model: LanguageModel) -> None:
    text = "".join(map(chr, range(1, 0x250))) + "你好 🙂 \u2028" + "hello"
    assert b"".join(map(model.vocabulary.token_bytes, model.vocabulary.tokenize(text))) == text.encode()
