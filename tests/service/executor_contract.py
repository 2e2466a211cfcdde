"""The contract of executors. A subclass gives the ``executor``; its children are fakes."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service.worker.executor import Attempt, AttemptExit, Executor, Updates, Work
from service.worker.messages import ArtifactWritten, Finished, Message, ProgressMade

#: How long something that must come may take on a busy machine; nothing is proven by how long it takes.
PATIENCE_SECONDS = 300.0


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


class MessageCollector:
    """All messages and exits that an executor reported."""

    def __init__(self, executor: Executor) -> None:
        self.executor = executor
        self.messages: dict[Attempt, list[Message]] = {}
        self.ended: dict[Attempt, list[AttemptExit]] = {}

    def poll(self) -> Updates:
        updates = self.executor.poll()
        for attempt, message in updates.messages:
            assert attempt not in self.ended, "a message after the end"
            self.messages.setdefault(attempt, []).append(message)
        for ended in updates.ended:
            self.ended.setdefault(ended.attempt, []).append(ended)
        return updates

    def until_ended(self, *attempts: Attempt) -> None:
        until(lambda: self.poll() is not None and all(attempt in self.ended for attempt in attempts))

    def until_message(self, attempt: Attempt) -> ProgressMade:
        until(lambda: self.poll() is not None and attempt in self.messages)
        message = self.messages[attempt][0]
        assert isinstance(message, ProgressMade)
        return message

    def exit_of(self, attempt: Attempt) -> AttemptExit:
        (ended,) = self.ended[attempt]
        return ended


class ExecutorContract:
    """One test for each rule of the contract."""

    @pytest.fixture
    def executor(self) -> Iterator[Executor]:
        raise NotImplementedError

    @pytest.fixture
    def collector(self, executor: Executor) -> MessageCollector:
        return MessageCollector(executor)

    def work(self, do: str, number: int = 1, timeout: float = 600.0, **files: Path) -> Work:
        named = {name.replace("_", "."): path for name, path in files.items()}
        return Work(Attempt(f"job_{do}", number), {"do": do}, named, "cpu", timeout)

    def test_the_end_of_an_attempt_is_reported_once_after_its_messages(
        self, executor: Executor, collector: MessageCollector
    ) -> None:
        work = self.work("finish")
        executor.submit(work)
        collector.until_ended(work.attempt)
        for _ in range(5):
            assert collector.poll() == Updates((), ()) or collector.poll() == Updates([], [])
        assert collector.messages[work.attempt] == [
            ProgressMade(stage="counting", done=1, total=100),
            ArtifactWritten(file="summary.json", media_type="application/json"),
            Finished(verdict="improved"),
        ]
        ended = collector.exit_of(work.attempt)
        assert (ended.exit_code, ended.cancelled, ended.timed_out) == (0, False, False)
        assert executor.file(work.attempt, "summary.json").read_text() == "{}"
        executor.clean_up(work.attempt)
        with pytest.raises(FileNotFoundError):
            executor.file(work.attempt, "summary.json")

    def test_it_reads_the_files_it_was_given(
        self, executor: Executor, collector: MessageCollector, tmp_path: Path
    ) -> None:
        (tmp_path / "one").write_text("first,")
        (tmp_path / "two").write_text("second")
        work = self.work("read_files", a_txt=tmp_path / "one", b_txt=tmp_path / "two")
        executor.submit(work)
        collector.until_ended(work.attempt)
        assert executor.file(work.attempt, "found.txt").read_text() == "first,second"

    def test_secrets_of_the_environment_stay_outside(
        self, executor: Executor, collector: MessageCollector, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the secret")
        work = self.work("environment")
        executor.submit(work)
        collector.until_ended(work.attempt)
        text = executor.file(work.attempt, "environment.json").read_text()
        assert "the secret" not in text
        assert "PATH" in text

    @pytest.mark.parametrize("do", ["wait", "block_signals"])
    def test_cancelling_ends_it_by_a_signal(self, executor: Executor, collector: MessageCollector, do: str) -> None:
        work = self.work(do)
        executor.submit(work)
        collector.until_message(work.attempt)
        executor.cancel(work.attempt)
        executor.cancel(work.attempt)
        collector.until_ended(work.attempt)
        assert collector.exit_of(work.attempt).cancelled
        assert collector.exit_of(work.attempt).exit_code < 0
        executor.cancel(work.attempt)
        executor.cancel(Attempt("job_nobody_knows", 1))
        assert not collector.poll().ended

    @pytest.mark.parametrize("do", ["fork_and_wait", "fork"])
    def test_processes_that_it_started_end_with_it(
        self, executor: Executor, collector: MessageCollector, do: str
    ) -> None:
        work = self.work(do)
        executor.submit(work)
        other = collector.until_message(work.attempt).done
        if do == "fork_and_wait":
            assert alive(other)
            executor.cancel(work.attempt)
        collector.until_ended(work.attempt)
        until(lambda: not alive(other))

    def test_it_is_stopped_after_its_timeout(self, executor: Executor, collector: MessageCollector) -> None:
        work = self.work("wait", timeout=1.0)
        executor.submit(work)
        collector.until_ended(work.attempt)
        ended = collector.exit_of(work.attempt)
        assert (ended.timed_out, ended.cancelled) == (True, False)

    def test_a_crash_does_not_affect_others(self, executor: Executor, collector: MessageCollector) -> None:
        waiting, crashing, finishing = self.work("wait"), self.work("crash"), self.work("finish")
        for work in (waiting, crashing, finishing):
            executor.submit(work)
        collector.until_ended(crashing.attempt, finishing.attempt)
        assert collector.exit_of(crashing.attempt).exit_code < 0
        assert not collector.exit_of(crashing.attempt).cancelled
        assert isinstance(collector.messages[finishing.attempt][-1], Finished)
        assert waiting.attempt not in collector.ended

    def test_only_the_tail_of_its_standard_error_is_kept(self, executor: Executor, collector: MessageCollector) -> None:
        work = self.work("fail_silently")
        executor.submit(work)
        collector.until_ended(work.attempt)
        ended = collector.exit_of(work.attempt)
        assert ended.exit_code == 3
        assert ended.stderr_tail.endswith("the last words")
        assert len(ended.stderr_tail) < 100_000

    def test_a_flood_of_messages_arrives_in_order(self, executor: Executor, collector: MessageCollector) -> None:
        work = self.work("flood")
        executor.submit(work)
        collector.until_ended(work.attempt)
        *counted, last = collector.messages[work.attempt]
        assert [message.done for message in counted if isinstance(message, ProgressMade)] == list(range(20_000))
        assert isinstance(last, Finished)

    @pytest.mark.parametrize("do", ["huge_line", "nonsense", "unfinished_line", "close_everything"])
    def test_invalid_messages_are_rejected(self, executor: Executor, collector: MessageCollector, do: str) -> None:
        work = self.work(do, timeout=5)
        executor.submit(work)
        collector.until_ended(work.attempt)
        assert not any(isinstance(message, Finished) for message in collector.messages.get(work.attempt, []))

    @pytest.mark.parametrize("do", ["link_out", "pipe_out", "nothing_out"])
    def test_only_regular_files_are_returned(self, executor: Executor, collector: MessageCollector, do: str) -> None:
        work = self.work(do)
        executor.submit(work)
        collector.until_ended(work.attempt)
        with pytest.raises(FileNotFoundError):
            executor.file(work.attempt, "summary.json")

    def test_a_folder_elsewhere_is_not_its_own(self, executor: Executor, collector: MessageCollector) -> None:
        work = self.work("folder_out")
        executor.submit(work)
        collector.until_ended(work.attempt)
        with pytest.raises(FileNotFoundError):
            executor.file(work.attempt, "passwd")

    def test_attempts_at_one_job_are_told_apart(self, executor: Executor, collector: MessageCollector) -> None:
        first, second = self.work("wait", 1), self.work("wait", 2)
        executor.submit(first)
        executor.submit(second)
        executor.cancel(first.attempt)
        collector.until_ended(first.attempt)
        assert second.attempt not in collector.ended

    def test_closing_ends_all(self, executor: Executor, collector: MessageCollector) -> None:
        works = [self.work("fork_and_wait"), self.work("block_signals")]
        for work in works:
            executor.submit(work)
        other = collector.until_message(works[0].attempt).done
        executor.close()
        until(lambda: not alive(other))
        assert os.getpid()
