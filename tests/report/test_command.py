# SPDX-License-Identifier: MIT
import dataclasses

import torch

from egbas.beropt import BerOptConfig
from egbas.report import command
from tests.runs import plane_run


def test_command_names_a_drawn_query_by_its_seed() -> None:
    run = plane_run()
    drawn = run.latent.sample(1, rng=torch.Generator().manual_seed(run.seed))[0]
    line, note = command(dataclasses.replace(run, query=drawn))
    assert "--latent" not in line
    assert "--seed 3" in line
    assert f"--step-size {run.tree.step_size}" in line
    assert "--iterations 200" in line
    assert "--geometry flat" in line
    assert "anneal_steps=60" in note


def test_command_names_another_query_by_its_file() -> None:
    line, note = command(plane_run())
    assert "--latent samples.safetensors" in line
    assert "'small <net>'" in line  # quoted for the shell
    assert "run the command in its folder" in note


def test_a_run_with_default_settings_needs_no_note() -> None:
    run = plane_run()
    drawn = run.latent.sample(1, rng=torch.Generator().manual_seed(run.seed))[0]
    beropt = dataclasses.replace(run.beropt, config=BerOptConfig(sparsity=2.0, masks=4))  # 4: as optimize settles it
    line, note = command(dataclasses.replace(run, query=drawn, beropt=beropt))
    assert "--sparsity 2.0" in line
    assert "--max-steps" not in line
    assert note == ""


def test_a_bound_on_the_steps_is_an_option_with_its_annealing() -> None:
    run = plane_run()
    config = BerOptConfig(masks=4, max_steps=50, anneal_steps=50)
    line, note = command(dataclasses.replace(run, beropt=dataclasses.replace(run.beropt, config=config)))
    assert "--max-steps 50" in line
    assert "anneal_steps" not in note
