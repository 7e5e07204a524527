# SPDX-License-Identifier: MIT
import json
from pathlib import Path

import pytest

from egbas.reproduce import supporting_sets


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[supporting_sets.Case]:
    out: Path = tmp_path_factory.mktemp("out")
    content = supporting_sets.run(("dcgan-mnist",), 1, out)
    assert json.loads((out / "supporting-sets.json").read_text()) == content
    assert len(supporting_sets.as_table(content)[1]) == 4
    return [supporting_sets.Case(**row) for row in content["rows"]]


def test_every_layer_is_certified(cases: list[supporting_sets.Case]) -> None:
    assert [case.layer for case in cases] == [1, 2, 3, 4]
    for case in cases:
        assert case.inside == case.samples > 100
        assert case.smallest_margin >= 0
        assert case.edge_error < 1e-4
        assert case.spacing > 1 - 1e-4


def test_beropt_beats_simple_sets_of_its_size(cases: list[supporting_sets.Case]) -> None:
    for case in cases:
        assert case.status == "CONVERGED"
        assert case.size < 0.15 * case.units
        assert case.fidelity < 0.2
        assert case.fidelity < 0.6 * case.largest_fidelity
        assert case.fidelity < 0.6 * case.random_fidelity
