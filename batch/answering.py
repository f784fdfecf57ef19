"""The questions of one group, answered one after the other about pictures that are decoded and encoded once."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from uhd_edge.batch.row import answered, failed
from uhd_edge.rows.pictures import image_input
from uhd_edge.runtime.answering import answer_question
from uhd_edge.runtime.conversation.answer_stream import AnswerStream
from uhd_edge.runtime.conversation.new_images import decode_images
from uhd_edge.runtime.conversation.turns import Conversation
from uhd_edge.runtime.errors import AnswerError, EngineError, ImageError, PromptError, SchemaError
from uhd_edge.runtime.options import parse_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from uhd_edge.batch.groups import Group
    from uhd_edge.batch.order import Asking
    from uhd_edge.batch.row import Row
    from uhd_edge.runtime.answer import Answer
    from uhd_edge.runtime.answering import OpenModels
    from uhd_edge.runtime.bundles.manifest import Manifest
    from uhd_edge.runtime.conversation.turns import NewImage

Decoded: TypeAlias = "tuple[NewImage, ...] | ImageError"

ERRORS_OF_A_QUESTION = (ImageError, PromptError, EngineError, SchemaError)


def with_prepared_schema(asking: Asking) -> Asking:
    """Return it with its schema read once and not for every question."""
    schema = asking.options.get("schema")
    if schema is None:
        return asking
    from uhd_edge.runtime.schema.answer_schema import answer_schema  # which most runs do without

    return replace(asking, options={**asking.options, "schema": answer_schema(schema)})


def decode_group(group: Group, manifest: Manifest) -> Decoded:
    """Decode the pictures of a group, or say why they cannot be; nothing for a group that has a problem already."""
    if all(asked.problem is not None for asked in group.asked):
        return ()
    try:
        return tuple(decode_images([image_input(picture) for picture in group.pictures], manifest))
    except ImageError as error:
        return error


def answer_group(
    group: Group, decoded: Decoded, asking: Asking, models: OpenModels, stopping: Callable[[], bool]
) -> tuple[Row, ...]:
    """Answer the questions of a group; what cannot be answered becomes a row that says why.

    Several questions share what the language model has read of the pictures. Raises `ModelError` when the language
    model fails, and `AnswerError` between two steps once `stopping` says so.
    """
    if isinstance(decoded, ImageError):
        return tuple(failed(asked, asked.problem or decoded) for asked in group.asked)
    conversation = Conversation(waiting=decoded, goes_on=len(group.asked) > 1)
    forks: list[Conversation] = []
    rows = []
    for asked in group.asked:
        if asked.problem is not None or asked.question is None:
            rows.append(failed(asked, asked.problem))
            continue
        forks.append(replace(conversation))
        try:
            rows.append(answered(asked, _answer(asked.question, forks[-1], asking, models, stopping)))
        except ERRORS_OF_A_QUESTION as error:
            rows.append(failed(asked, error))
    for fork in forks:
        models.memory.release(fork)
    return tuple(rows)


def _answer(
    question: str, conversation: Conversation, asking: Asking, models: OpenModels, stopping: Callable[[], bool]
) -> Answer:
    request = parse_request(
        None,
        question,
        asking.options,
        mode=asking.opening.mode or models.manifest.default_mode,
        modes=tuple(models.manifest.graphs),
        max_slices=asking.opening.max_slices,
    )
    with closing(AnswerStream(answer_question(request, conversation, models))) as stream:
        for _ in stream:
            if stopping():
                raise AnswerError("the run was stopped")
        return stream.answer
