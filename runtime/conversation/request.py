"""What an assistant is asked, as values whose settings have been checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast, get_args

from uhd_edge.runtime.errors import OptionError, PromptError
from uhd_edge.runtime.modes import Mode
from uhd_edge.runtime.prompt.messages import Message, ToolResult, result_messages, split_beginning, user_message
from uhd_edge.runtime.prompt.template import TemplateOptions
from uhd_edge.runtime.tools.tool_set import NO_TOOLS, ToolSet
from uhd_edge.runtime.validation import HIGHEST_COUNT, require_number, require_whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from uhd_edge.runtime.conversation.encoded_images import QuestionImage
    from uhd_edge.runtime.llm.sampling import Sampling
    from uhd_edge.runtime.schema.answer_schema import AnswerSchema


MOST_ANSWERS = 8
MOST_LOGPROBS = 20

# Of the questions with a promise, how many are to keep it.
DEFAULT_SHARE, LEAST_SHARE, MOST_SHARE = 0.95, 0.5, 0.99


@dataclass(frozen=True)
class Budget:
    """The time to the first token that a question may take, and the modes it may be answered in.

    `share` is how many of the questions with a promise are to keep it, 0.5 to 0.99.

    Raises `OptionError` for an invalid time or share.
    """

    milliseconds: float
    modes: tuple[Mode, ...]
    share: float = DEFAULT_SHARE

    def __post_init__(self) -> None:
        hint = "a number of milliseconds of at least 0.001"
        object.__setattr__(
            self, "milliseconds", require_number("budget_ms", self.milliseconds, 1e-3, HIGHEST_COUNT, hint=hint)
        )
        hint = f"from {LEAST_SHARE} to {MOST_SHARE}"
        object.__setattr__(
            self, "share", require_number("budget_share", self.share, LEAST_SHARE, MOST_SHARE, hint=hint)
        )


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of one question; `max_slices` None is the bundle's default.

    With a `budget`, `mode` and `max_slices` are chosen when the images are known, and
    `max_slices` is the upper limit. With a `schema` the answer is JSON that fits it. `think`
    None leaves it to the checkpoint's chat template whether the model thinks. `logprobs` None is none.

    Raises `OptionError` for an invalid setting.
    """

    sampling: Sampling
    max_tokens: int
    mode: Mode
    max_slices: int | None
    budget: Budget | None = None
    schema: AnswerSchema | None = None
    stops: tuple[str, ...] = ()
    tolerance: float = 0.0
    think: bool | None = None
    think_tokens: int = 1024
    tools: ToolSet = NO_TOOLS
    logprobs: int | None = None
    answers: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "max_tokens", require_whole("max_tokens", self.max_tokens, 1, HIGHEST_COUNT))
        hint = "from 0 to 255 grey levels"
        object.__setattr__(self, "tolerance", require_number("tolerance", self.tolerance, 0, 255, hint=hint))
        if self.mode not in get_args(Mode):
            message = f"mode is {self.mode!r}; it must be {' or '.join(get_args(Mode))}"
            raise OptionError(message, parameter="mode")
        if self.max_slices is not None:
            object.__setattr__(self, "max_slices", require_whole("max_slices", self.max_slices, 1, HIGHEST_COUNT))
        if not (self.think is None or isinstance(self.think, bool)):
            raise OptionError(f"think is {self.think!r}; it must be True, False or None", parameter="think")
        object.__setattr__(self, "think_tokens", require_whole("think_tokens", self.think_tokens, 0, HIGHEST_COUNT))
        object.__setattr__(self, "answers", require_whole("answers", self.answers, 1, MOST_ANSWERS))
        if self.logprobs is not None:
            object.__setattr__(self, "logprobs", require_whole("logprobs", self.logprobs, 0, MOST_LOGPROBS))

    @property
    def continues(self) -> bool:
        """Whether the answer goes on with a beginning that the conversation ends with."""
        return False

    @property
    def template_options(self) -> TemplateOptions:
        """What the chat template is told."""
        return TemplateOptions(self.think, self.tools.definitions)


@dataclass(frozen=True, kw_only=True)
class Request(Settings):
    """One question about images, with its settings. The results of calls may take the question's place.

    Raises `OptionError` for an invalid setting and `PromptError` for a question that is neither a
    string nor messages.
    """

    images: tuple[QuestionImage, ...]
    question: str | Sequence[Message] | Sequence[ToolResult]

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.question, list):
            object.__setattr__(self, "question", tuple(self.question))
        if not isinstance(self.question, str) and not _are_all(Message, self.question) and not self.gives_results:
            raise PromptError(
                f"the question is {type(self.question).__name__}; it must be a string, or a list of `Message`"
            )
        if self.continues and (self.think or self.schema is not None or self.tools.must_call):
            raise OptionError(
                "the conversation ends with the beginning of an answer, which goes on as text; "
                "leave out think, the schema or the tool that must be called"
            )

    @property
    def continues(self) -> bool:
        """Whether the answer goes on with a beginning that the conversation ends with."""
        if isinstance(self.question, str) or self.gives_results:
            return False
        return bool(split_beginning(cast("Sequence[Message]", self.question))[1])

    def messages(self, *, images: int) -> list[Message]:
        """Return what is asked as a conversation: so many images and the question, or the messages as they are.

        Raises `PromptError` for a blank question.
        """
        if isinstance(self.question, str):
            return [user_message(self.question, images=images)]
        if self.gives_results:
            return result_messages(cast("Sequence[ToolResult]", self.question), images=images)
        return list(cast("Sequence[Message]", self.question))

    @property
    def gives_results(self) -> bool:
        """Whether the results of calls take the question's place."""
        return _are_all(ToolResult, self.question)


def _are_all(kind: type, question: object) -> bool:
    return isinstance(question, tuple) and question != () and all(isinstance(part, kind) for part in question)
