"""Interrupted, killed or shared out: the statistics have the bits of the run that went through."""

import copy
import signal
import subprocess
import sys
import threading
from functools import reduce
from pathlib import Path

import pytest
import torch
from torch import nn

from calibrate.errors import UsageError
from calibrate.stats import IterableBatches, Pool, ReestimationState, reestimate, reestimate_
from calibrate.stats.gathered import Gathered
from tests.builders.batches import Stopping, batches, inputs
from tests.builders.networks import Residual, Tied, warmed_up
from tests.builders.repeating import Amplifying, Interleaved
from tests.builders.states import assert_same_bits

PARTS = batches(inputs().float())


@pytest.mark.parametrize("order", ["in_order", "batch"])
@pytest.mark.parametrize("build", [Residual, Tied])
def test_every_point_of_interruption_leads_to_the_same_bits(build: type[nn.Module], order: str, tmp_path: Path) -> None:
    model = warmed_up(build())
    whole = reestimate(model, PARTS, order=order)
    for stop in range(1, len(PARTS) if order == "batch" else 3 * len(PARTS), 2):
        file = ReestimationState(tmp_path / f"{stop}.safetensors", seconds=0)
        with pytest.raises(KeyboardInterrupt):
            reestimate(model, Stopping(stop), order=order, memory=0, checkpoint=file)
        assert list(tmp_path.iterdir())
        read: list[int] = []
        resumed = copy.deepcopy(model)
        next(resumed.children()).register_forward_pre_hook(lambda *_, read=read: read.append(1))
        reestimate_(resumed, PARTS, order=order, memory=0, checkpoint=file)
        assert_same_bits(resumed, whole)
        if order == "batch":
            measured = 0 if build is Residual else len(PARTS)
            assert len(read) == len(PARTS) - stop + measured
        assert not list(tmp_path.iterdir())


def test_a_checkpoint_is_the_same_after_a_round_trip(tmp_path: Path) -> None:
    gathered = Gathered()
    gathered.reach_(0, "a")
    gathered.reach_(1, "b")
    gathered.add_(0, Pool.of(0, PARTS[0]).merge(Pool.of(22, PARTS[2])))
    gathered.settle_(lambda pool: pool)
    gathered.add_(1, Pool.of(0, PARTS[0]))
    file = ReestimationState(tmp_path / "one")
    file.begin_("request", torch.device("cpu"))
    file.keep_(gathered)
    again = ReestimationState(tmp_path / "one").begin_("request", torch.device("cpu"))
    assert (again.names, again.settled) == (["a", "b"], 1)
    assert [set(pool.nodes) for pool in again.pools] == [set(pool.nodes) for pool in gathered.pools]
    for one, other in zip(again.pools, gathered.pools, strict=True):
        for node, moments in one.nodes.items():
            assert moments.count == other.nodes[node].count
            assert torch.equal(moments.mean, other.nodes[node].mean)
            assert torch.equal(moments.variance, other.nodes[node].variance)


def test_killed_in_the_middle_and_resumed(tmp_path: Path) -> None:
    """The process kills itself with SIGKILL while it reads the batches for the third call."""
    path = tmp_path / "checkpoint"
    program = (
        "import signal, sys, torch\n"
        "from calibrate.stats import ReestimationState, reestimate\n"
        "from tests.builders.batches import Stopping\n"
        "from tests.builders.networks import Residual, warmed_up\n"
        f"torch.set_num_threads({torch.get_num_threads()})\n"
        "state = ReestimationState(sys.argv[1])\n"
        "reestimate(warmed_up(Residual()), Stopping(13, signal.SIGKILL), memory=0, checkpoint=state)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(path)], cwd=Path(__file__).parents[2], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert path.exists()
    model = warmed_up(Residual())
    read = []
    resumed = copy.deepcopy(model)
    next(resumed.children()).register_forward_pre_hook(lambda *_: read.append(1))
    reestimate_(resumed, PARTS, memory=0, checkpoint=ReestimationState(path))
    assert len(read) < 1 + 5 * len(PARTS)
    assert_same_bits(resumed, reestimate(model, PARTS))
    assert not path.exists()


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    with pytest.raises(KeyboardInterrupt):
        reestimate(warmed_up(Residual()), Stopping(13), memory=0, checkpoint=ReestimationState(path))
    before = path.read_bytes()
    for model, arguments in ((warmed_up(Residual(), seed=1), {}), (warmed_up(Residual()), {"prior": 1.0})):
        with pytest.raises(UsageError, match="of another network, order, prior"):
            reestimate(model, PARTS, checkpoint=ReestimationState(path), **arguments)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("build", "memory", "seconds"), [(Interleaved, 0, 0), (Interleaved, 1 << 30, 10), (Amplifying, 0, 10)]
)
def test_rounds_can_be_interrupted(build: type[nn.Module], memory: int, seconds: float, tmp_path: Path) -> None:
    """What is over when it is interrupted is not gathered again."""
    model = warmed_up(build())
    whole, asked = copy.deepcopy(model), Stopping(1 << 30)
    reestimate_(whole, asked, memory=memory)
    needed = (1 << 30) - asked.left
    for stop in range(needed // 5, needed, needed // 5):
        file = ReestimationState(tmp_path / f"{stop}.safetensors", seconds)
        with pytest.raises(KeyboardInterrupt):
            reestimate(model, Stopping(stop), memory=memory, checkpoint=file)
        resumed, rest = copy.deepcopy(model), Stopping(1 << 30)
        reestimate_(resumed, rest, memory=memory, checkpoint=file)
        assert_same_bits(resumed, whole)
        assert (1 << 30) - rest.left < needed - stop + 12 * len(PARTS)
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("order", ["in_order", "batch"])
@pytest.mark.parametrize("build", [Residual, Tied, Interleaved])
def test_shards_end_with_the_bits_of_the_whole(build: type[nn.Module], order: str) -> None:
    """Three shards as threads, which meet at each call as processes would in an all-gather."""
    meet = threading.Barrier(3, timeout=300)
    given: dict[int, Pool] = {}
    shards = [(0, PARTS[:2]), (22, PARTS[2:3]), (33, PARTS[3:])]
    models = [warmed_up(build()) for _ in shards]

    def work(rank: int) -> None:
        def exchange(pool: Pool) -> Pool:
            given[rank] = pool
            meet.wait()
            everyone = reduce(Pool.merge, (given[other] for other in (2, 0, 1)))
            meet.wait()
            return everyone

        first, parts = shards[rank]
        reestimate_(
            models[rank], IterableBatches(parts, None, first), order=order, memory=20_000_000, exchange=exchange
        )

    workers = [threading.Thread(target=work, args=(rank,)) for rank in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    whole = reestimate(warmed_up(build()), PARTS, order=order)
    for model in models:
        assert_same_bits(model, whole)
