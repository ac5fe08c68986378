"""What is written to disk is whole, and every document is read by the one decoder."""

import os
import stat
from dataclasses import dataclass
from typing import Any, Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from symtorch import InputError
from symtorch.documents import LARGEST, Format, check_tensor, decode, encode, text_of, to_bytes
from symtorch.files import file_name, write_file

# ---------------------------------------------------------------- files


def test_a_file_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "law.json"
    write_file(path, "old")
    write_file(path, "new")
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["law.json"]


class DiskFull(OSError):
    pass


@pytest.mark.parametrize("where", ["fsync", "replace"])
@pytest.mark.parametrize("error", [DiskFull, KeyboardInterrupt])
def test_what_was_there_stays_when_writing_fails(tmp_path, monkeypatch, where, error):
    path = tmp_path / "law.json"
    write_file(path, "old")

    def fail(*_):
        raise error

    monkeypatch.setattr(os, where, fail)
    with pytest.raises(error):
        write_file(path, "new")
    monkeypatch.undo()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["law.json"]


def test_a_file_keeps_its_rights_and_its_link(tmp_path):
    path, link = tmp_path / "law.json", tmp_path / "link.json"
    path.write_text("old")
    path.chmod(0o640)
    link.symlink_to(path)
    write_file(link, "new")
    assert link.is_symlink()
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_new_file_has_the_rights_of_its_kind(tmp_path):
    plain, ours = tmp_path / "plain", tmp_path / "ours"
    plain.write_text("")
    write_file(ours, "")
    assert ours.stat().st_mode == plain.stat().st_mode


@given(st.text(min_size=1, max_size=8), st.text(min_size=1, max_size=8))
def test_no_two_names_share_a_file(a, b):
    one, other = file_name(a, ".json"), file_name(b, ".json")
    assert (one == other) == (a == b)
    assert not set("/\\\0") & set(one)


def test_long_names_are_refused():
    with pytest.raises(InputError, match="too long for the name of a file"):
        file_name("ü" * 200, ".json")
    assert file_name("a" * 250, ".json")


# ---------------------------------------------------------------- the decoder


@dataclass(frozen=True)
class Inner:
    size: int
    name: str = "none"


@dataclass(frozen=True)
class Outer:
    inner: Inner | None
    pairs: tuple[tuple[str, float | None], ...]
    kind: Literal["a", "b"]
    parts: dict[str, Inner]
    anything: Any
    flag: bool
    where: int | str | None


GOOD = Outer(
    Inner(3), (("x", 1.5), ("y", None)), "a", {"p": Inner(1, "one")}, {"k": [1]}, True, "key"
)


def changed(*path, value):
    data = encode(GOOD)
    here = data
    for key in path[:-1]:
        here = here[key]
    here[path[-1]] = value
    return data


def test_a_dataclass_comes_back():
    assert decode(Outer, encode(GOOD)) == GOOD
    assert decode(Outer, changed("inner", value=None)).inner is None
    assert decode(Outer, changed("inner", value={"size": 2})).inner == Inner(2)
    assert decode(Outer, changed("pairs", 0, 1, value=2)).pairs[0] == ("x", 2.0)


BAD = {
    "no object": (changed("inner", value=[3]), r"'inner' must be an object; got list"),
    "missing": (changed("inner", value={"name": "x"}), r"\['size'\] are missing"),
    "unknown": (changed("inner", "code", value=1), r"\['code'\] are unknown"),
    "a truth for a number": (changed("inner", "size", value=True), "a whole number; got True"),
    "a fraction": (changed("inner", "size", value=2.0), "a whole number; got 2.0"),
    "no text": (changed("inner", "name", value=3), "'inner'.name must be text; got 3"),
    "no list": (changed("pairs", value="xy"), "'pairs' must be a list"),
    "another length": (changed("pairs", 0, value=["x"]), r"'pairs'\[0\] must be a list of 2"),
    "nan": (changed("pairs", 0, 1, value=float("nan")), "a finite number; got nan"),
    "huge": (changed("pairs", 0, 1, value=10**400), "a finite number; got a huge number"),
    "another literal": (changed("kind", value="c"), "one of 'a', 'b'; got 'c'"),
    "no dict": (changed("parts", value=[]), "'parts' must be an object"),
    "no truth": (changed("flag", value=1), "true or false; got 1"),
    "no option": (changed("where", value=1.5), "'where' must be int or str"),
    "long": (changed("kind", value="x" * 10**6), "got 'xxx"),
}


@pytest.mark.parametrize(("data", "message"), BAD.values(), ids=BAD)
def test_anything_else_is_refused_with_its_place(data, message):
    with pytest.raises(InputError, match=message) as caught:
        decode(Outer, data)
    assert len(str(caught.value)) < 400


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(JUNK, st.sampled_from(list(encode(GOOD))))
def test_junk_is_refused_or_harmless(junk, key):
    try:
        found = decode(Outer, changed(key, value=junk))
    except InputError:
        return
    assert isinstance(found, Outer)


def test_formats_and_versions():
    kind = Format("example", 2, "example", Inner)
    assert kind.read(kind.write(Inner(1))) == Inner(1)
    for text, message in (
        ("[" * 100_000, "no JSON"),
        ("{}", "'format' is missing"),
        ('{"format": "example", "size": 1}', "'version' is missing"),
        ('{"format": "example", "version": 1, "size": 1}', "version 1; this symtorch reads 2"),
        ('{"format": "example", "version": 2, "size": "1"}', "not a saved example: 'size' must"),
    ):
        with pytest.raises(InputError, match=message):
            kind.read(text)


# ---------------------------------------------------------------- tensors from files


def test_text_in_tensors():
    assert text_of(to_bytes("Schicht")) == "Schicht"
    strided = torch.stack([to_bytes("law"), to_bytes("abc")], 1)[:, 0]
    assert text_of(strided) == "law"


HOSTILE = {
    "text": ("law", "a tensor of bytes"),
    "floats": (torch.zeros(3), "a tensor of bytes"),
    "two dimensions": (to_bytes("law")[None], r"1 dimension\(s\); got \[1, 3\]"),
    "none": (torch.tensor(3, dtype=torch.uint8), r"1 dimension\(s\)"),
    "meta": (torch.zeros(3, dtype=torch.uint8, device="meta"), "is meta"),
    "sparse": (torch.zeros(3, dtype=torch.uint8).to_sparse(), "is sparse"),
    "a claim": (torch.zeros(1, dtype=torch.uint8).expand(10**12), "claims 1000000000000 numbers"),
    "too long": (torch.zeros(LARGEST + 1, dtype=torch.uint8), "is the most that is read"),
    "no text": (torch.tensor([255, 254], dtype=torch.uint8), "expected text"),
}


@pytest.mark.parametrize(("value", "message"), HOSTILE.values(), ids=HOSTILE)
def test_other_tensors_hold_no_text(value, message):
    with pytest.raises(InputError, match=message):
        text_of(value)


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
def test_tensors_are_checked_before_they_are_used():
    quantized = torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.quint8)
    for value, message in (
        (quantized, "is quantized"),
        (torch.zeros(3), r"must be \[2\]; got \[3\]"),
        (torch.zeros(2, dtype=torch.int64), "floating-point numbers; got torch.int64"),
        ([1.0, 2.0], "must be a tensor; got list"),
    ):
        with pytest.raises(InputError, match=message):
            check_tensor(value, "it", (2,), floating=True)
