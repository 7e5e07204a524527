# SPDX-License-Identifier: MIT
import dataclasses

import torch

from egbas.beropt import BerOptConfig
from egbas.exploration.result import Exploration
from egbas.report import command
from egbas.samplers.exact import ExactConfig
from tests.runs import exact_run, plane_run


def of_a_drawn_query(run: Exploration, config: BerOptConfig) -> Exploration:
    """The run with other settings of BerOpt and a query that its seed gives."""
    drawn = run.latent.sample(1, rng=torch.Generator().manual_seed(run.seed))[0]
    return dataclasses.replace(run, query=drawn, beropt=dataclasses.replace(run.support.beropt, config=config))


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
    assert "give the path of that file" in note


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


def test_masks_are_an_option_where_they_are_not_the_usual() -> None:
    run = plane_run()
    for masks, is_told in ((4, False), (64, True)):
        config = BerOptConfig(masks=masks)
        line, note = command(dataclasses.replace(run, beropt=dataclasses.replace(run.beropt, config=config)))
        assert ("--masks 64" in line) is is_told
        assert "masks" not in note


def test_groups_are_an_option_where_units_are_not_single() -> None:
    run = plane_run()
    for units, is_told in (("unit", False), ("patch:2", True)):
        config = BerOptConfig(units=units, masks=4)
        line, note = command(dataclasses.replace(run, beropt=dataclasses.replace(run.beropt, config=config)))
        assert ("--units patch:2" in line) is is_told
        assert "units" not in note


def test_a_level_is_named_instead_of_the_sparsity_it_stands_for() -> None:
    run = of_a_drawn_query(plane_run(), BerOptConfig(level=3, sparsity=7.25, masks=4))
    line, note = command(run)
    assert "--level 3" in line
    assert "--sparsity" not in line
    assert note == ""


def test_the_exact_samplers_settings_are_written_out() -> None:
    run = exact_run()
    assert run.exact_config is not None
    assert f"--samples 50 --max-evaluations {run.exact_config.max_evaluations} " in command(run)[0]
    other = dataclasses.replace(run, exact_config=ExactConfig(samples=7, max_evaluations=999))
    assert "--samples 7 --max-evaluations 999 " in command(other)[0]
    unknown = dataclasses.replace(run, exact_config=None)  # of a run directory that does not say
    assert "--samples" not in command(unknown)[0]


def test_without_exact_samples_none_are_asked_for() -> None:
    assert plane_run().exact is None
    assert "--samples 0" in command(plane_run())[0]
    assert "--max-evaluations" not in command(plane_run())[0]


def test_a_focus_is_its_box() -> None:
    focus = torch.zeros(4, 4, dtype=torch.bool)
    focus[1:3, 2:4] = True
    run = dataclasses.replace(of_a_drawn_query(plane_run(), BerOptConfig(level=3, masks=4)), focus=focus)
    line, note = command(run)
    assert "--focus 2,1,4,3 " in line
    assert note == ""
    assert "--focus" not in command(plane_run())[0]


def test_a_focus_that_is_no_box_is_the_box_around_it_and_says_so() -> None:
    focus = torch.zeros(4, 4, dtype=torch.bool)
    focus[0, 1] = focus[2, 3] = True
    run = dataclasses.replace(of_a_drawn_query(plane_run(), BerOptConfig(level=3, masks=4)), focus=focus)
    line, note = command(run)
    assert "--focus 1,0,4,3 " in line
    assert note == "The focus was no box; here it is the box around it. In Python, focus= takes any mask."


def test_samplers_that_the_command_line_does_not_have_are_told() -> None:
    run = of_a_drawn_query(exact_run(), BerOptConfig(level=3, masks=4))
    assert command(run)[1] == ""
    alone = dataclasses.replace(run, samples={"prior": run.samples["prior"]})
    assert command(alone)[1] == "In Python, samplers=['prior'] draws what this run drew, and nothing else."
    more = dataclasses.replace(run, samples={**run.samples, "uniform": run.samples["prior"]})
    assert "samplers=['tree', 'prior', 'uniform']" in command(more)[1]


def test_a_module_of_a_number_is_written_with_a_dot() -> None:
    run = plane_run()
    assert run.network is not None
    support = dataclasses.replace(run.support, layer=run.network.resolve("0"))
    assert " --layer .0 " in command(dataclasses.replace(run, layer=support.layer))[0]


def test_command_says_what_was_said_of_a_checkpoint_file() -> None:
    run = plane_run()
    run.generator.zoo_choices = {"key": "net G", "activation": "relu,tanh"}  # type: ignore[assignment]
    try:
        assert "--key 'net G' --activation relu,tanh" in command(run)[0]
    finally:
        del run.generator.zoo_choices
    assert "--key" not in command(run)[0]
