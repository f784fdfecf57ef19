"""The words that VQA accuracy treats alike: those of GT-Vision-Lab/VQA, `vqaEval.py`, which are lower-case."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

ARTICLES: Final = frozenset({"a", "an", "the"})
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
NUMBERS: Final[Mapping[str, str]] = MappingProxyType(
    {"none": "0"} | {word: str(number) for number, word in enumerate(_DIGITS)}
)

# A word of these is recognized with any one of its apostrophes left out.
_WITH_APOSTROPHES = """
    ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd he'd've
    he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've might've mustn't must've needn't not've
    o'clock oughtn't 'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd've somebody'll somebody's
    someone'd someone'd've someone'll someone's something'd something'd've something'll that's there'd there'd've
    there're there's they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's
    what've when's where'd where's where've who'd who'd've who'll who's who've why'll why're why's won't would've
    wouldn't wouldn't've y'all y'all'll y'all'd've you'd you'd've you'll you're you've
"""


def _with_one_apostrophe_left_out() -> dict[str, str]:
    found = {}
    for word in _WITH_APOSTROPHES.split():
        for place, character in enumerate(word):
            if character == "'":
                found[word[:place] + word[place + 1 :]] = word
    return found


# The script turns this one around.
CONTRACTIONS: Final[Mapping[str, str]] = MappingProxyType(_with_one_apostrophe_left_out() | {"somebody'd": "somebodyd"})
