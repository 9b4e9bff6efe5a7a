"""Strict YAML: what is read, what is refused, how fast, and where each value stands."""

import json
import math
import re
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from resnet_shortcuts.config import yaml_lines
from resnet_shortcuts.config.experiment_config import load_config
from resnet_shortcuts.config.yaml_lines import Document, parse
from resnet_shortcuts.errors import UsageError


def read(text: str) -> Document:
    return parse(text, lambda line, column: f"{line}:{column}" if column else f"{line}")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001), ("1E5", 1e5), (".5", 0.5), ("5.", 5.0), ("-1.5e+3", -1500.0), ("012", 12), ("+7", 7),
        ("-0", 0), ("0x1f", 31), ("0o17", 15), ("no", "no"), ("yes", "yes"), ("on", "on"), ("Off", "Off"), ("y", "y"),
        ("true", True), ("FALSE", False), ("null", None), ("~", None), ("", None), ("1_000", "1_000"), ("1:30", "1:30"),
        ("2020-01-01", "2020-01-01"), ("'1e-3'", "1e-3"), ('"no"', "no"), ("0b11", "0b11"), ("=", "="),
        (".inf", math.inf), ("-.INF", -math.inf), ("é", "é"),
    ],
)  # fmt: skip
def test_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    found = read(f"key: {text}\n").data["key"]
    assert found == value
    assert type(found) is type(value)


def test_every_value_knows_its_line() -> None:
    document = read("a: 1\nb:\n  c: [1,\n      {d: 2}]\n  e:\n  - x\n  - y\n")
    assert document.data == {"a": 1, "b": {"c": [1, {"d": 2}], "e": ["x", "y"]}}
    assert document.where(("a",)) == "1"
    assert document.where(("b",)) == "2"
    assert document.where(("b", "c")) == "3"
    assert document.where(("b", "c", 1, "d")) == "4"
    assert document.where(("b", "e", 1)) == "7"
    assert document.where(("b", "e", 1, "deeper")) == "7"


names = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=5)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)


@settings(derandomize=True, deadline=None)
@given(plain)
def test_what_json_says_is_read_as_json_means_it(value: object) -> None:
    try:
        found = read(json.dumps(value)).data
    except UsageError as error:  # text that YAML or we forbid: control characters, and JSON's pairs of surrogates
        assume(not re.search("character|invalid YAML|is not a name", str(error)))
        raise
    assert found == value


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 10)}]\n" for i in range(20)
)


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        "a: &a [*a]\n",
        "a: &a {b: *a}\n",
        "[" * 500_000,
        "{a: " * 100_000,
        "- " * 500_000,
        "? " * 400_000,
        "a: [" + "1," * 400_000 + "]",
        "".join(f"k{i}: 1\n" for i in range(80_000)),
    ],
    ids=["bomb", "cycle", "cycle-in-mapping", "flow-depth", "flow-mappings", "block-depth", "keys", "list", "mapping"],
)
def test_fault_07_bombs_are_refused_at_once(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bomb.yaml"
    path.write_text(text)
    began = time.process_time()
    with pytest.raises(UsageError, match=r"too many values|nested too deeply") as caught:
        load_config(path)
    assert time.process_time() - began < 5  # under a second on an idle machine; a bomb that goes off takes hours
    assert "bomb.yaml:" in str(caught.value)


def test_fault_07_more_than_a_mebibyte_is_not_even_parsed(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_bytes(b"# " + b"x" * yaml_lines.MAX_BYTES)
    with pytest.raises(UsageError, match=r"file too large for a config: .*large.yaml: at most 1,048,576 bytes"):
        load_config(path)
    with pytest.raises(UsageError, match="file too large"):
        load_config(Path("/dev/zero"))


def test_aliases_are_fine_as_long_as_they_stay_small() -> None:
    assert read("a: &x {k: 1}\nb: *x\n").data == {"a": {"k": 1}, "b": {"k": 1}}


GOOD = b"data: {source: digits}\nnetworks: [cifar-resnet-20]\nshortcuts: [A]\nseeds: 1\ntrain: {epochs: 1}\n"


def test_fault_13_bom_and_crlf_are_accepted(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(GOOD)
    config = load_config(path)
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace(b"\n", b"\r\n"))
    assert load_config(path) == config
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace(b"\n", b"\r\n") + b"zzz: 1\r\n")
    with pytest.raises(UsageError, match=r"unknown key 'zzz' .*mine.yaml:6: "):
        load_config(path)


@pytest.mark.parametrize("coding", ["latin-1", "utf-16"])
def test_fault_13_other_encodings_are_refused(tmp_path: Path, coding: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes((GOOD.decode() + "# é\n").encode(coding))
    with pytest.raises(UsageError, match=r"not UTF-8 text: .*mine.yaml:\d+: save the file as UTF-8"):
        load_config(path)


def test_fault_13_the_line_of_a_bad_byte(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(GOOD + b"name: \xe9\n")
    with pytest.raises(UsageError, match=r"mine.yaml:6: "):
        load_config(path)


@pytest.mark.parametrize(
    "text", ['a: "\\0"', 'a: "\\ud800"', 'a: "\\Uffffffff"', "a: \x07", "a: \ufffe", "1: 2", "? [a]\n: b"]
)
def test_what_no_key_or_text_may_be(text: str) -> None:
    with pytest.raises(UsageError):
        read(text)


def test_a_number_of_absurd_length() -> None:
    with pytest.raises(UsageError, match="number too long: 1: at most 40 digits"):
        read("a: " + "9" * 5000)


def test_the_loader_leaves_the_shared_safe_loader_alone() -> None:
    assert yaml.safe_load("a: no") == {"a": False}
