"""Configs damaged at random, and every key misspelled by one edit: a line for the user each time, nothing else.

``make torture`` damages ten times as many.
"""

import os
import random
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resnet_shortcuts.config.config_schema import schema_of, sections
from resnet_shortcuts.config.experiment_config import Config, load_config
from resnet_shortcuts.errors import Exit, RscError

Note = Callable[[str, object], None]
TIMES = int(os.environ.get("RSC_TORTURE", "1"))
WHOLE: dict[str, Any] = {
    "name": "whole",
    "data": {"source": "image-folder", "root": "images", "train_size": 1000, "test_size": 500, "validation": 100,
             "resolution": 32, "normalize": "channel", "augment": ["crop", "flip"], "classes": 5,
             "images_per_class": 300, "test_fraction": 0.2, "name": "Images"},
    "networks": [{"name": "cifar-resnet-20", "width": 8, "stem": "cifar", "zero_init": False}, "cifar-resnet-8",
                 {"name": "cifar-pyramidnet-20", "alpha": 48.0}],
    "shortcuts": ["plain", "A",
                  {"spatial": "blur3", "channels": "pad", "scope": "transitions", "scale": 2.0, "name": "m"}],
    "seeds": [0, 1, 2],
    "train": {"epochs": 3, "iterations": None, "batch_size": 64, "lr": 0.1, "momentum": 0.9, "nesterov": False,
              "weight_decay": 0.0001, "label_smoothing": 0.0,
              "schedule": {"kind": "step", "milestones": [1, 2], "milestones_in": "iterations", "gamma": 0.1,
                           "warmup_iterations": 0, "warmup_lr": 0.01}},
    "run": {"device": "cpu", "precision": "fp32", "jobs": 2, "compile": False, "tf32": False, "evaluate_every": 1,
            "checkpoint_seconds": 30.0, "keep_weights": False},
    "cost": {"measure": True, "seconds": 30.0},
    "compare": {"baseline": "A", "margin": 0.2, "fail_above": 50.0, "rule": "sequential", "max_seeds": 9,
                "looks": [3, 6, 9]},
    "config_format": 2,
}  # fmt: skip


def dumped(document: Any) -> str:
    """As YAML, by libyaml where PyYAML has it."""
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text: str = yaml.dump(document, Dumper=dumper, sort_keys=False, allow_unicode=True)
    return text


TEXT = dumped(WHOLE)


def outcome(folder: Path, text: bytes, *overrides: str) -> RscError | Config:
    """What loading ends in; anything but a config or an error for the user escapes and fails the test."""
    path = folder / "whole.yaml"
    path.write_bytes(text)
    try:
        return load_config(path, overrides)
    except RscError as error:
        return error
    finally:
        assert [found.name for found in folder.iterdir()] == ["whole.yaml"]


def assert_tells(result: RscError | Config) -> None:
    if isinstance(result, Config):
        return
    assert result.exit_code == Exit.USAGE
    assert result.lines
    for line in result.lines:
        assert "\n" not in line
        assert line.isprintable()
        assert len(line) < 2000
        assert "Traceback" not in line
        assert "pydantic" not in line


def test_the_whole_config_holds_every_key(tmp_path: Path) -> None:
    assert isinstance(outcome(tmp_path, TEXT.encode()), Config)
    known = {(*place, key) for place, keys in sections(schema_of(Config)).items() for key in keys}
    assert known == {path for path, _ in key_paths(WHOLE) if path[0] != "shortcuts" or len(path) == 1}


TOKENS = [b":", b"-", b"[", b"]", b"{", b"}", b"&a", b"*a", b"!!x", b"|", b">", b"'", b'"', b"#", b"\n", b"\t",
          b"  ", b"\r", b"\0", b"\xff", b"\xef\xbb\xbf", b"no", b"null", b"1e999", b".nan", b"-1", b"0", b"9" * 50,
          b"true", b"<<: ", b"?", b"%", b"@", b"`", b"---\n", b"...", b"\xe2\x80\xa8", b"\\", b"../../x",
          b'"\\ud800"']  # fmt: skip
edit = st.tuples(
    st.integers(0, len(TEXT)), st.integers(0, 12), st.sampled_from(TOKENS) | st.binary(max_size=6) | st.text(max_size=4)
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mutated")


@settings(max_examples=1000 * TIMES, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(edits=st.lists(edit, min_size=1, max_size=4))
def test_mutated_text_ends_in_a_config_or_a_line(
    folder: Path, record_property: Note, edits: list[tuple[int, int, bytes | str]]
) -> None:
    record_property("configs", 1)
    text = TEXT.encode()
    for start, length, new in edits:
        inserted = new.encode("utf-8", "surrogatepass") if isinstance(new, str) else new
        text = text[:start] + inserted + text[start + length :]
    assert_tells(outcome(folder, text))


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.sampled_from(
    ["A", "auto", "cifar-resnet-20", "no", 0, -1, 1e308, 2**63, 10**30, "", "../x", "\0", "cuda:7"]
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4) | st.just("name"), inner, max_size=3)
    ),
    max_leaves=6,
)


def key_paths(value: Any, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], dict[str, Any]]]:
    """Every key of a config by its path (lists left out), with the mapping that holds it."""
    found = []
    if isinstance(value, dict):
        for key, inner in value.items():
            found += [((*path, key), value), *key_paths(inner, (*path, key))]
    if isinstance(value, list):
        for inner in value:
            found += key_paths(inner, path)
    return found


def changed(value: Any, holder: dict[str, Any], key: str, new: dict[str, Any]) -> Any:
    """A copy of a config in which one key of one mapping is replaced by other keys and values."""
    if isinstance(value, dict):
        items: dict[str, Any] = {}
        for name, inner in value.items():
            items |= new if value is holder and name == key else {name: changed(inner, holder, key, new)}
        return items
    return [changed(inner, holder, key, new) for inner in value] if isinstance(value, list) else value


@settings(max_examples=1000 * TIMES, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(place=st.sampled_from(key_paths(WHOLE)), new=values)
def test_mutated_values_end_in_a_config_or_a_line(
    folder: Path, record_property: Note, place: tuple[Any, dict[str, Any]], new: Any
) -> None:
    record_property("configs", 1)
    path, holder = place
    document = changed(WHOLE, holder, path[-1], {path[-1]: new})
    text = dumped(document).encode("utf-8", "surrogatepass")
    result = outcome(folder, text)
    assert_tells(result)
    if isinstance(result, Config):
        written = outcome(folder, result.to_yaml().encode())
        assert written == result


names = st.sampled_from([".".join(path) for path, _ in key_paths(WHOLE)] + ["zzz", "networks.0", "train..lr", "", "."])
texts = st.text(max_size=8) | st.sampled_from(
    ["[", "{}", "[]", "null", "!!x 1", "&a [*a]", "\udcff", "\x1b[31m", "1e999"]
)


@settings(max_examples=500 * TIMES, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(key=names, text=texts, equals=st.sampled_from(["=", "=", "=", ""]))
def test_any_override_ends_in_a_config_or_a_line(
    folder: Path, record_property: Note, key: str, text: str, equals: str
) -> None:
    record_property("overrides", 1)
    assert_tells(outcome(folder, TEXT.encode(), key + equals + text))


def typos(word: str) -> list[str]:
    """Words one edit away: every deletion and swap, and at each place one insertion and one replacement."""
    draw = random.Random(word)
    letters = string.ascii_lowercase + "_"
    cuts = range(len(word))
    found = {word[:i] + word[i + 1 :] for i in cuts} | {
        word[:i] + word[i + 1 : i + 2] + word[i] + word[i + 2 :] for i in cuts
    }
    found |= {word[:i] + draw.choice(letters) + word[i:] for i in range(len(word) + 1)}
    found |= {word[:i] + draw.choice(letters) + word[i + 1 :] for i in cuts}
    return sorted(found - {word, ""})


def test_one_edit_typos_of_every_key_are_refused_and_nearly_all_put_right(folder: Path) -> None:
    tried, put_right, missed = 0, 0, []
    for path, holder in key_paths(WHOLE):
        key = path[-1]
        for typo in typos(key):
            if typo in holder:
                continue
            document = changed(WHOLE, holder, key, {typo: holder[key]})
            result = outcome(folder, dumped(document).encode())
            assert isinstance(result, RscError), f"{typo} for {'.'.join(path)} was accepted"
            assert_tells(result)
            (line,) = [line for line in result.lines if repr(typo) in line]
            tried += 1
            suggestion = line.partition("did you mean")[2]
            put_right += repr(key) in suggestion
            missed += [] if repr(key) in suggestion else [line]
    assert tried > 1000
    assert put_right / tried >= 0.95, missed
