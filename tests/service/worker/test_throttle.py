"""The throttle: a minimal interval, which grows, and the latest progress is never dropped."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from service.worker.messages import ProgressMade
from service.worker.throttle import EVENTS_PER_INTERVAL, MIN_INTERVAL_SECONDS, Throttle


def progress(done: int) -> ProgressMade:
    return ProgressMade(stage="counting", done=done, total=10**6)


@given(st.lists(st.tuples(st.floats(0, 0.4), st.booleans()), max_size=60))
def test_what_passes_is_rare_ordered_and_ends_with_the_latest(moments: list[tuple[float, bool]]) -> None:
    throttle, now, passed, offered = Throttle(), 0.0, [], 0
    for pause, offers in moments:
        now += pause
        if offers:
            offered += 1
            throttle.put(progress(offered))
        if popped := throttle.pop(now):
            passed.append((now, popped.done))
    assert all(later[0] - earlier[0] >= MIN_INTERVAL_SECONDS * 0.999 for earlier, later in itertools.pairwise(passed))
    assert [done for _, done in passed] == sorted({done for _, done in passed})
    if popped := throttle.pop(now, last=True):
        passed.append((now, popped.done))
    assert not offered or passed[-1][1] == offered
    assert throttle.pop(now, last=True) is None


LATEST = progress(1)


def test_a_day_of_progress_is_a_bounded_number_of_events() -> None:
    throttle, passed = Throttle(), 0
    for tick in range(24 * 3600 * 4):
        throttle.put(LATEST)
        passed += throttle.pop(tick / 4) is not None
    assert EVENTS_PER_INTERVAL < passed < 10 * EVENTS_PER_INTERVAL
