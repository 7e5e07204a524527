# SPDX-License-Identifier: MIT
import io
import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from egbas.errors import CheckpointError
from egbas.zoo.containers.standins import (
    MAX_PAIRS,
    Foreign,
    Inert,
    Maker,
    Settings,
    Table,
    TfNetwork,
    Unordered,
    table_maker,
)
from egbas.zoo.containers.unpickle import MAX_FOREIGN, MAX_STEPS, MAX_TUPLES, unpickle
from egbas.zoo.formats import read_checkpoint
from tests.zoo.containers.malicious import Call, attacks, legacy, text, zipped

NAMES = sorted(attacks(Path("marker")))


def load(data: bytes, names: dict[tuple[str, str], Any] | None = None) -> Any:
    return unpickle(io.BytesIO(data), names or {})


@pytest.mark.parametrize("name", ["system", "protocol 2", "nested", "exec", "numpy save", "instance", "stack global"])
def test_the_attacks_work_on_a_reader_that_runs_pickles(tmp_path: Path, name: str) -> None:
    marker = tmp_path / "marker.npy"
    pickle.loads(attacks(marker)[name])
    assert marker.exists()


@pytest.mark.parametrize("wrap", [bytes, zipped, legacy], ids=["pickle", "zip", "legacy"])
@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_run_whatever_the_file_and_whatever_it_names(tmp_path: Path, name: str, wrap: Any) -> None:
    marker = tmp_path / "marker.npy"
    path = tmp_path / "weights.pth"
    path.write_bytes(wrap(attacks(marker)[name]))
    with pytest.raises(CheckpointError) as refused:
        read_checkpoint(path)
    assert str(path) in str(refused.value)
    assert not marker.exists()


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("persistent id", "dtype of an object")])
def test_the_names_of_weights_open_no_way_either(tmp_path: Path, name: str) -> None:
    """An attack inside a tensor's arguments, a network's state, and the arguments of allowed functions."""
    marker, attack = tmp_path / "marker.npy", attacks(tmp_path / "marker.npy")[name][2:-1]
    allowed = [("torch._utils", "_rebuild_tensor_v2"), ("_codecs", "encode"), ("collections", "OrderedDict")]
    inside = [b"\x80\x04c" + f"{m}\n{n}\n".encode() + b"(" + attack + b"tR." for m, n in allowed]
    inside.append(b"\x80\x04ctfutil\nNetwork\n)\x81}" + text("build_module_src") + attack + b"sb.")
    for number, data in enumerate(inside):
        for wrap in (bytes, zipped):
            path = tmp_path / f"{number}.pkl"
            path.write_bytes(wrap(data))
            with pytest.raises(CheckpointError):
                read_checkpoint(path)
    assert not marker.exists()


def test_the_message_names_what_was_asked_for_and_what_to_do() -> None:
    with pytest.raises(
        CheckpointError, match=rf"{os.system.__module__}\.system.*Nothing in it has been run.*state_dict"
    ):
        load(pickle.dumps(Call(os.system, "true")))


@pytest.mark.parametrize(
    ("module", "name", "message"),
    [
        ("torch_utils.persistence", "_reconstruct_persistent_obj", "StyleGAN2-ADA or StyleGAN3"),
        ("dnnlib.tflib.network", "Network", "StyleGAN pickle for TensorFlow"),
        ("a\x1b[31mb.os", "__c__", r"a\?\[31mb\.os\.__c__"),
    ],
)
def test_known_foreign_files_are_told_by_name(module: str, name: str, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        load(b"\x80\x02c" + f"{module}\n{name}\n".encode() + b")R.")


@pytest.mark.parametrize(
    ("module", "name", "message"),
    [
        ("model", "Generator", r"model\.Generator.*whole pickled network"),
        ("torch.nn.modules.container", "Sequential", "whole pickled network"),
        ("a\x1b[31mb", "c", r"a\?\[31mb\.c"),
    ],
)
def test_a_file_of_code_without_weights_is_refused_by_its_name(
    tmp_path: Path, module: str, name: str, message: str
) -> None:
    (tmp_path / "x.pkl").write_bytes(b"\x80\x02c" + f"{module}\n{name}\n".encode() + b")R.")
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(tmp_path / "x.pkl")


def test_stand_ins_keep_what_they_are_given() -> None:
    for module in ("models.utils.config", "GAN.models.utils.config", "__main__"):
        found = load(b"\x80\x02c" + module.encode() + b"\nBaseConfig\n)\x81}" + text("alpha") + b"K\x00sb.")
        assert isinstance(found, Settings)
        assert found.state == {"alpha": 0}
    names = {("collections", "OrderedDict"): table_maker(), ("tfutil", "Network"): TfNetwork}
    ordered = load(b"\x80\x02ccollections\nOrderedDict\n)R}" + text("items") + b"K\x01sb.", names)
    assert isinstance(ordered, Table)
    assert ordered == {}
    assert list(ordered.items()) == []
    assert isinstance(load(b"\x80\x02ctfutil\nNetwork\n)\x81.", names), TfNetwork)
    assert Inert(*range(9)).args == (0, 1, 2, 3)


def test_functions_cannot_be_changed() -> None:
    with pytest.raises(CheckpointError, match="changes objects"):
        load(b"\x80\x02ca\nb\n}" + text("_make") + b"K\x01sb.", {("a", "b"): Maker(len)})


@pytest.mark.parametrize("opcode", [b"\x82\x01", b"\x97", b"Px\n"])
def test_opcodes_that_no_weights_need_are_refused(opcode: bytes) -> None:
    with pytest.raises(CheckpointError, match="no weights need"):
        load(b"\x80\x05" + opcode + b".")


@pytest.mark.parametrize("value", [set(), {1, "a"}, frozenset(), frozenset({(1, 2)}), {frozenset({1}), 2}])
def test_sets_are_inert_and_hold_nothing(value: Any) -> None:
    for protocol in (4, 5):
        found = load(pickle.dumps([value, 1], protocol=protocol))
        assert isinstance(found[0], Unordered)
        assert (found[0].args, found[1:]) == ((), [1])


def test_what_is_in_a_set_is_not_hashed() -> None:
    for sets in (b"\x8f(" + DEEP + b"\x90", b"(" + DEEP + b"\x91"):
        assert isinstance(load(b"\x80\x04" + sets + b"."), Unordered)


def test_programs_that_name_more_code_than_any_file_are_refused() -> None:
    names = b"".join(b"c" + f"a{number}\nb\n".encode() + b"0" for number in range(MAX_FOREIGN + 1))
    with pytest.raises(CheckpointError, match="pieces of Python code"):
        load(b"\x80\x02" + names + b"N.")
    again = (b"ca\nb\n" + b"0") * (2 * MAX_FOREIGN)  # one name is one piece
    assert load(b"\x80\x02" + again + b"N.") is None


def test_objects_of_unknown_classes_are_inert_and_told() -> None:
    code: dict[str, None] = {}
    data = b"\x80\x02cmine\nNet\n)\x81}" + text("a") + b"K\x01sb."
    found = unpickle(io.BytesIO(data), {}, None, code)
    assert isinstance(found, Foreign)
    assert (found.origin, found.state, list(code)) == ("mine.Net", {"a": 1}, ["mine.Net"])
    for change in (b"}" + text("__setstate__") + b"K\x01sb.", b"}" + text("origin") + b"K\x01sb."):
        with pytest.raises(CheckpointError, match="damaged or malicious"):  # of the class itself
            load(b"\x80\x02cmine\nNet\n" + change)


def test_old_protocols_make_objects_by_a_function() -> None:
    reconstructed = b"ccopy_reg\n_reconstructor\n(cmine\nNet\nc__builtin__\nobject\nNtR."
    assert isinstance(load(b"\x80\x02" + reconstructed), Foreign)
    assert not isinstance(load(b"\x80\x02ccopy_reg\n_reconstructor\n(K\x01tR."), Foreign)


def test_long_programs_are_refused() -> None:
    with pytest.raises(CheckpointError, match="more memory"):
        load(b"\x80\x02" + b"N0" * MAX_STEPS + b"N.")
    with pytest.raises(CheckpointError, match="more memory"):
        load(b"\x80\x02" + b")" + b"\x85" * (MAX_TUPLES + 1) + b".")


DEEP = b")" + b"".join(b"q" + bytes([i]) + b"h" + bytes([i]) + b"\x86" for i in range(200))  # a tree of 2**200 tuples


@pytest.mark.parametrize("data", [b"}" + DEEP + b"K\x01s.", b"}(" + DEEP + b"K\x01u.", b"(" + DEEP + b"K\x01d."])
def test_keys_whose_hash_takes_for_ever_are_refused(data: bytes) -> None:
    with pytest.raises(CheckpointError, match="keys"):
        load(b"\x80\x02" + data)


def test_pairs_of_python_2() -> None:
    names = {("collections", "OrderedDict"): table_maker()}
    pair = b"]" + text("a") + b"aK\x01a"
    assert load(b"\x80\x02ccollections\nOrderedDict\n(]" + pair + b"atR.", names) == {"a": 1}
    for entries in (b"K\x01", b"]K\x01a", b"}" + text("a") + b"K\x01s"):
        with pytest.raises(CheckpointError, match="pairs"):
            load(b"\x80\x02ccollections\nOrderedDict\n(" + entries + b"tR.", names)
    many = b"](" + b"h\x01" * (MAX_PAIRS // 2) + b"eq\x02"
    again = b"0ccollections\nOrderedDict\n(h\x02tR"
    with pytest.raises(CheckpointError, match="adds up to more"):
        load(b"\x80\x02" + pair + b"q\x010" + many + again * 3 + b".", names)


@pytest.mark.parametrize(
    "data", [b"", b"\x80", b"\x80\x02", b"\x80\x02(", b"\x80\x02h\x05.", b"\x80\x02\x85.", b"\x80\xff."]
)
def test_damaged_pickles(data: bytes) -> None:
    with pytest.raises(CheckpointError, match="damaged or malicious"):
        load(data)
