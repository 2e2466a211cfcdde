"""One damaged file: whether it opens, is refused in a sentence, or brings a fault of the product to light."""

import signal
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import FrameType

from calibrate.errors import AfternormError
from tests.builders.fuzzing.kinds import Kind
from tests.builders.fuzzing.mutations import mutated

#: Seconds of a processor that one file may take; by the clock, which a busy machine holds up, six times as many.
SECONDS = 20.0
#: Characters that a refusal may have: a paragraph.
LONGEST = 2000


class TookTooLong(BaseException):
    """No Exception, so that nothing between takes it for a damaged file."""


@dataclass(frozen=True)
class Judgement:
    """How an attempt ended: ``opened``, ``refused``, or what went wrong, and where."""

    word: str
    where: str = ""

    @property
    def is_fault(self) -> bool:
        return self.word not in ("opened", "refused")


def damaged(kind: Kind, index: int) -> tuple[str, bytes]:
    """The ending and the content of the damaged file number ``index`` of a kind, always the same."""
    rng = Random(index)
    ending, content = kind.seeds[index % len(kind.seeds)]
    others = [other for end, other in kind.seeds if end == ending]
    return ending, mutated(content, others, rng)


def judged(opens: Callable[[Path], object], path: Path, seconds: float = SECONDS) -> Judgement:
    """Open the file, within so many seconds; warnings are faults, and so are refusals that are no paragraph."""
    with warnings.catch_warnings(record=True) as leaked:
        warnings.simplefilter("always")
        try:
            with alarm(seconds):
                opens(path)
            ended = Judgement("opened")
        except AfternormError as error:
            ended = _paragraph(str(error), path, error)
        except TookTooLong as error:
            ended = Judgement("hang", _place(error))
        except BaseException as error:  # a panic of a Rust library is no Exception
            ended = Judgement(f"{type(error).__name__}: {error}"[:200], _place(error))
    if leaked and not ended.is_fault:
        first = leaked[0]
        return Judgement(
            f"warning {first.category.__name__}: {first.message}"[:200], f"{first.filename}:{first.lineno}"
        )
    return ended


def _paragraph(said: str, path: Path, error: BaseException) -> Judgement:
    if "\n" in said or not said.isprintable():
        return Judgement("refused with control characters", _place(error))
    if len(said) > LONGEST:
        return Judgement(f"refused at great length: {len(said)} characters", _place(error))
    return Judgement("refused")


def _place(error: BaseException) -> str:
    """Where it was raised, and the last line of the product on the way there."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/calibrate/" in frame.filename or "/service/" in frame.filename]
    return " <- ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in (frames[-1:] + own[-1:][::-1]))


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """Raise TookTooLong after so many seconds of a processor, in the main thread, once Python has its turn."""

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise TookTooLong

    clocks = {signal.SIGPROF: (signal.ITIMER_PROF, seconds), signal.SIGALRM: (signal.ITIMER_REAL, 6 * seconds)}
    before = {number: signal.signal(number, ring) for number in clocks}
    for clock, until in clocks.values():
        signal.setitimer(clock, until)
    try:
        yield
    finally:
        for clock, _ in clocks.values():
            signal.setitimer(clock, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
