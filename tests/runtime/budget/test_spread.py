import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uhd_edge.runtime.budget.spread import HIGHEST, LOWEST, MOST_RATIOS, UNKNOWN, Spread

RATIOS = st.lists(st.floats(0.2, 5), min_size=1, max_size=MOST_RATIOS).map(tuple)


def test_of_a_machine_that_is_not_known_nothing_close_is_promised() -> None:
    assert Spread().usual() == 1
    assert Spread().upper(0.95) == UNKNOWN > 1


@given(ratios=RATIOS, share=st.floats(0.5, 0.99))
def test_more_questions_keep_a_longer_time(ratios: tuple[float, ...], share: float) -> None:
    spread = Spread(ratios)
    assert min(ratios) * 0.999 <= spread.usual() <= max(ratios) * 1.001
    assert spread.upper(0.5) <= spread.upper(share) <= spread.upper(0.99)


def test_few_ratios_promise_no_less_than_the_slowest_of_them() -> None:
    assert Spread((1.0, 1.5, 1.0)).upper(0.95) == pytest.approx(1.5 * Spread((1.0, 1.5, 1.0)).usual())


def test_one_slow_question_among_many_does_not_count_for_long() -> None:
    slow = Spread((1.0,) * 60).followed_by([3.0])
    assert slow.upper(0.95) > 1.5
    later = slow.followed_by([1.0] * 30)
    assert (later.usual(), later.upper(0.95)) == (pytest.approx(1.0), pytest.approx(1.0))


def test_a_machine_that_has_become_slower_is_known_after_a_few_questions() -> None:
    spread = Spread((1.0, 1.1) * 50).followed_by([1.8, 1.9, 1.8, 1.9])
    assert 1.7 < spread.usual() < 1.9
    assert spread.upper(0.95) > 1.9
    assert spread.followed_by([1.0, 1.1] * 20).upper(0.95) < 1.3


@pytest.mark.parametrize("share", [0.5, 0.8, 0.95])
@pytest.mark.parametrize("drift", [0.0, 0.1])
def test_as_many_questions_as_were_asked_for_keep_the_upper_ratio(share: float, drift: float) -> None:
    draw = random.Random(3)
    spread, kept, level = Spread(), 0, 0.0
    for number in range(2100):
        level = 0.9 * level + draw.gauss(0, drift)  # how busy other programs keep the machine
        ratio = draw.lognormvariate(level, 0.2)
        kept += number >= 100 and ratio <= spread.upper(share)
        spread = spread.followed_by([ratio])
    assert share - 0.02 <= kept / 2000 <= share + 0.04


def test_what_no_question_takes_is_brought_within_limits_and_old_ratios_are_forgotten() -> None:
    spread = Spread().followed_by([0.0, 1e9])
    assert spread.ratios == (LOWEST, HIGHEST)
    assert spread.followed_by([1.0] * MOST_RATIOS).ratios == (1.0,) * MOST_RATIOS
