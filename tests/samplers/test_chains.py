# SPDX-License-Identifier: MIT
import subprocess
import sys

import pytest
import torch

from egbas.errors import ConfigError
from egbas.samplers.chains import History, room_within_budget
from egbas.samplers.exact import ExactConfig


@pytest.mark.parametrize("piece", [1, 3, 16, 100])
def test_a_history_keeps_evenly_spaced_draws(piece: int) -> None:
    history, time = History(20), torch.arange(100.0).repeat(2, 1)[..., None]
    for draws in time.split(piece, dim=1):
        history.add(draws)
    assert (history.seen, history.stride) == (100, 8)
    # 0, 8, .., 96 are kept, of which the first quarter is left out.
    assert history.recent()[0, :, 0].tolist() == list(range(24, 100, 8))
    assert torch.equal(history.recent()[0], history.recent()[1])


def test_a_short_history_is_kept_whole() -> None:
    history = History(8)
    history.add(torch.arange(8.0).reshape(1, 8, 1))
    assert history.stride == 1 and history.recent()[0, :, 0].tolist() == [2, 3, 4, 5, 6, 7]


def test_what_is_kept_holds_on_to_nothing_else() -> None:
    history = History(4)
    for _ in range(10):
        history.add(torch.zeros(1, 16, 1))
    assert sum(state.untyped_storage().nbytes() for state in history._kept) == 4 * len(history._kept)


def test_the_room_is_what_is_wanted_or_what_the_budget_allows() -> None:
    assert room_within_budget(128, 48, 16, 64) == 128
    # 2**30 bytes / (3 copies * 8 bytes * 16 chains * 49,152 coordinates) = 56.9
    assert room_within_budget(128, 48, 16, 49_152) == 56
    with pytest.raises(ConfigError, match=r"16 chains of 98,304 coordinates would take 1\.69 GiB .*fewer samples"):
        room_within_budget(128, 48, 16, 98_304)
    assert ExactConfig(samples=100).room(2048) == 128 and ExactConfig(samples=400).room(64) == 128
    assert ExactConfig(samples=20_000).room(64) == 5000 and ExactConfig(samples=20_000).given(64) == 2500
    with pytest.raises(ConfigError, match="fewer samples"):
        ExactConfig(samples=1_000_000).room(64)


_MEASURED = """
import numpy as np, torch
from egbas.samplers import chains, diagnostics, exact

chains.BUDGET, exact._GROWTH = {budget}, 50.0  # few checks

class Noise:
    evaluations = 0
    def draw(self, z, n, rng):
        self.evaluations += n * len(z)
        return torch.from_numpy(rng.standard_normal((len(z), n, z.shape[1])))

def memory(key):
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith(key))

def run(d):
    sampler = exact.PriorSampler(config=exact.ExactConfig(samples=10_000, max_evaluations=16 * 500, n_chains=16))
    start, groups = torch.zeros(d, dtype=torch.float64), np.arange(16) % 2
    states = torch.zeros(16, d, dtype=torch.float64)
    return exact._Run(Noise(), start, groups, sampler, None, 0).until_converged(states, np.random.default_rng(0))

chains.BUDGET = 2**40
run(4)  # imports
chains.BUDGET = {budget}
exact._LEAST_SPARE = 0
before = memory("VmRSS")
open("/proc/self/clear_refs", "w").write("5")  # the peak begins here
found = run({d})
print(memory("VmHWM") - before, len(found.latents), found.facts["stride"])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is read from /proc")
def test_chains_keep_within_their_budget() -> None:
    budget, d = 128 * 2**20, 4096
    command = [sys.executable, "-c", _MEASURED.format(budget=budget, d=d)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    peak, n, stride = map(int, done.stdout.split())
    assert stride > 1 and n > 16 * 16  # there were more draws than room for them
    # Beside them stand the draws that have just come, their copies, and what the statistics make of 2**20 values.
    assert peak < budget + 3 * 16 * 16 * d * 8 + 10 * 2**20 * 8
    assert peak > budget // 3
