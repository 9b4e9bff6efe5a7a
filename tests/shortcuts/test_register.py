"""A spatial operation, a channel operation, a join and a class registered at run time, wherever they must be."""

import hashlib
import importlib.util
import json
import subprocess
import sys

import pytest
import torch

from resnet_shortcuts.cli import main
from resnet_shortcuts.cost.counting import multiply_adds, parameters
from resnet_shortcuts.data.data_config import DataSpec
from resnet_shortcuts.data.dataset import load
from resnet_shortcuts.data.prepare import prepare
from resnet_shortcuts.errors import IntegrityError, UsageError
from resnet_shortcuts.models import build_network
from resnet_shortcuts.properties.network_checks import verify
from resnet_shortcuts.properties.shortcut_description import describe
from resnet_shortcuts.shortcuts import (
    CustomSource,
    Site,
    SpatialOperation,
    build_shortcut,
    catalogue,
    find,
    in_this_process_only,
    load_sources,
    needed_sources,
    operations,
    register,
    strategies,
)
from resnet_shortcuts.training.loop import train
from resnet_shortcuts.training.recipe import TrainSpec
from tests.shortcuts import test_contract
from tools.shortcut_document import render
from tools.shortcut_pictures import grids

FILE = """
from dataclasses import replace

import torch
import torch.nn.functional as F

from resnet_shortcuts.shortcuts import ChannelOperation, Cost, Join, Properties, Shortcut, SpatialOperation, register
from resnet_shortcuts.shortcuts.join_modules import Add


class Corner(torch.nn.Module):
    def __init__(self, site):
        super().__init__()
        self.stride = site.stride

    def forward(self, x):
        s, (height, width) = self.stride, x.shape[-2:]
        return F.pad(x, (0, -width % s, 0, -height % s), mode="replicate")[:, :, s - 1 :: s, s - 1 :: s]


class Mirror(torch.nn.Module):
    def forward(self, x):
        return torch.cat([x, x.flip(1)], 1)


class ChannelScale(Add):
    def __init__(self, operation, site, scale, branch_scale, start):
        super().__init__(operation, scale, branch_scale)
        self.factor = torch.nn.Parameter(torch.full((site.out_channels,), start))

    def forward(self, x, residual):
        return self.weigh(residual) + self.factor.to(residual.dtype).view(-1, 1, 1) * self.carry(x, residual)


def mirrored(padded):
    values = tuple(value * 2**0.5 for value in padded.singular_values)
    return replace(padded, singular_values=values, gradient_gain=2 * padded.gradient_gain)


register(
    SpatialOperation(
        "corner", "last of s x s pixels", build=Corner, window=((1, 1),),
        properties=lambda size: Properties(True, 1 / 4, 1 / 4, 1 / 4, (1.0,), 1 / 2, "no"),
    )
)
register(
    ChannelOperation(
        "mirror", "concatenated with itself in reverse", build=lambda site: Mirror(), declare=mirrored,
        refuses=lambda site: None if site.out_channels == 2 * site.in_channels else "which does not double its width",
        limit="C_out must be 2 x C_in",
    )
)
register(
    Join(
        "channel-scale", "factor * shortcut + residual, a learned factor for each channel", build=ChannelScale,
        formula="y = f {carried} + {branch}, f from {start:g}", options={"start": Number(1.0, 0.5, 2.0)},
        cost=lambda site: Cost(site.out_channels), declare=lambda operator, options: operator,
    )
)


@register("channel-mean", aliases=("cm",), summary="the mean over the channels", source="a test")
class ChannelMean(Shortcut):
    def __init__(self, site):
        super().__init__()
        self.stride = site.stride

    def forward(self, x, residual):
        return residual + x[:, :, :: self.stride, :: self.stride].mean(1, keepdim=True)
""".replace("Join, Properties", "Join, Number, Properties")
COMPOSITION = {
    "spatial": "corner",
    "channels": "mirror",
    "join": "channel-scale",
    "scope": "all",
    "name": "corner-mirror",
}


@pytest.fixture
def clean():
    """Whatever a test registers is gone afterwards."""
    registries = (*operations.REGISTRY.values(), catalogue._registered)
    before = [dict(registry) for registry in registries]
    yield
    for registry, entries in zip(registries, before, strict=True):
        registry.clear()
        registry.update(entries)


def imported(folder, text=FILE, name="my_operations"):
    file = folder / f"{name}.py"
    file.write_text(text)
    spec = importlib.util.spec_from_file_location(name, file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return file


@pytest.fixture
def registered(clean, tmp_path):
    return imported(tmp_path)


def rsc(*arguments):
    with pytest.raises(SystemExit) as ended:
        main([*arguments])
    return ended.value.code


def test_the_list_has_them(registered, capsys):
    assert rsc("shortcuts", "--format", "json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert {"name": "channel-mean", "aliases": ["cm"], "summary": "the mean over the channels", "source": "a test"} in (
        listed["rows"]
    )
    names = {(operation["key"], operation["name"]) for operation in listed["operations"]}
    assert names >= {("spatial", "corner"), ("channels", "mirror"), ("join", "channel-scale"), ("spatial", "stride")}
    assert rsc("shortcuts", "CM") == 0
    assert "the mean over the channels" in capsys.readouterr().out
    rsc("shortcuts")
    assert "last of s x s pixels" in capsys.readouterr().out
    with pytest.raises(UsageError, match="did you mean 'corner'"):
        find({"spatial": "cornr", "channels": "pad"})
    with pytest.raises(UsageError, match="did you mean 'channel-mean'"):
        find("channel-meen")


@pytest.mark.parametrize("site", [Site(16, 32, 2), Site(16, 32, 1), Site(16, 16, 1)], ids=str)
def test_their_counts_are_those_of_the_module(registered, site):
    strategy = find(COMPOSITION)
    counted = strategy.cost(site, 8)
    assert counted == {"parameters": parameters(build_shortcut(strategy, site)), "multiply_adds": 0}
    assert counted["parameters"] == site.out_channels
    blurred = find({"spatial": "blur3", "channels": "mirror"}).cost(Site(16, 32, 2), 8)
    assert blurred == {"parameters": 0, "multiply_adds": 9 * 16 * 16}


def test_networks_are_counted_with_them(registered):
    networks = [
        build_network("cifar-resnet-8", find(name), in_channels=3, num_classes=10, seed=0)
        for name in (COMPOSITION, "A", "channel-mean")
    ]
    assert parameters(networks[0]) == parameters(networks[1]) + 16 + 32 + 64
    assert len({multiply_adds(network, (3, 32, 32)) for network in networks}) == 1


def test_the_documents_and_pictures_have_them(registered):
    files = render()
    page = files["docs/shortcuts.md"]
    for text in ("`corner`: last of s x s pixels", "| `mirror` |", "| `channel-scale` |", "### channel-mean"):
        assert text in page
    assert "last of s x s pixels" in files["docs/shortcuts/corner.svg"]
    x = torch.randn(1, 1, 8, 8, dtype=torch.float64, requires_grad=True)
    operation = operations.operations(SpatialOperation)["corner"]
    (gradient,) = torch.autograd.grad(operation.build(Site(1, 1, 2))(x).sum(), x)
    torch.testing.assert_close(gradient[0, 0], torch.from_numpy(grids(operation)[1]))
    facts = describe(find({**COMPOSITION, "start": 0.5}))
    assert facts["formula"] == "y = f mirror(corner(x)) + branch, f from 0.5"
    assert facts["refuses"] == "C_out must be 2 x C_in"


def test_verify_measures_what_they_declare(registered):
    rows = verify([find(COMPOSITION), "channel-mean"])
    assert [row for row in rows if row["ok"] is False] == []
    assert len([row for row in rows if row["ok"] and row["strategy"] == "corner-mirror"]) >= 10
    coverage = {
        row["strategy"]: row["measured"] for row in rows if (row["property"], row["on"]) == ("coverage", "random")
    }
    assert coverage == {"corner-mirror": 0.25, "channel-mean": 0.25}


@pytest.mark.parametrize("reference", [COMPOSITION, "channel-mean"], ids=["composition", "class"])
def test_they_keep_the_contract(registered, reference):
    strategy = find(reference)
    for name in ("4-4-s1", "4-8-s2"):
        test_contract.test_shape_dtype_gradient_and_inputs_left_alone(strategy, test_contract.SITES[name])
        test_contract.test_channels_last_is_kept_and_changes_nothing(strategy, test_contract.SITES[name])
        test_contract.test_bf16_autocast(strategy, test_contract.SITES[name])
    test_contract.test_arguments_are_not_changed_in_place(strategy)
    test_contract.test_compiles_in_one_graph(strategy)
    test_contract.test_exports(strategy)
    test_contract.test_functional_call_and_state_dict_round_trip(strategy)
    with pytest.raises(UsageError, match=r"corner-mirror.*does not double"):
        build_shortcut(find(COMPOSITION), Site(4, 12, 2))


@pytest.mark.parametrize("reference", [COMPOSITION, "channel-mean"], ids=["composition", "class"])
def test_a_network_trains_with_them(registered, reference, tmp_path):
    data = DataSpec(train_size=200, test_size=100)
    dataset = load(prepare(data, data_root=None, cache=tmp_path / "cache"), data)
    model = build_network("cifar-resnet-8", find(reference), in_channels=1, num_classes=10, seed=0)
    outcome = train(model, dataset, data, TrainSpec(epochs=4, batch_size=32, lr=0.05), seed=0)
    assert outcome.status == "done"
    assert outcome.history[-1].train_loss < outcome.history[0].train_loss
    if reference == COMPOSITION:
        assert any((block.shortcut.factor != 1).any() for _, block in model.blocks())


def test_their_identity_is_the_hash_of_their_file_and_that_of_others_has_none(registered):
    sha256 = hashlib.sha256(registered.read_bytes()).hexdigest()
    assert find("channel-mean").identity() == {"class": "ChannelMean", "sha256": sha256}
    assert find(f"{registered}:ChannelMean").identity() == find("channel-mean").identity()
    assert find({"spatial": "corner", "channels": "pad"}).identity() == {
        "spatial": "corner", "channels": "pad", "scope": "transitions", "scale": 1.0, "sha256": {"corner": sha256},
    }  # fmt: skip
    assert find(COMPOSITION).identity()["sha256"] == dict.fromkeys(("corner", "mirror", "channel-scale"), sha256)
    assert not [strategy for strategy in catalogue.CATALOGUE if "sha256" in strategy.identity()]
    for reference in (COMPOSITION, {"spatial": "corner", "channels": "pad"}, "channel-mean"):
        assert find(find(reference).reference()) == find(reference)


CHILD = """
import json, sys
import torch
from resnet_shortcuts.errors import RscError
from resnet_shortcuts.shortcuts import CustomSource, Site, build_shortcut, find, load_sources
sources, references = json.load(sys.stdin)
try:
    load_sources(CustomSource(**source) for source in sources)
    load_sources(CustomSource(**source) for source in sources)
    for reference in references:
        strategy = find(reference)
        build_shortcut(strategy, Site(4, 8, 2))
        print(json.dumps(strategy.identity()))
except RscError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


def child(sources, references, folder):
    return subprocess.run(
        [sys.executable, "-c", CHILD], input=json.dumps([[source.to_dict() for source in sources], references]),
        capture_output=True, text=True, check=False, cwd=folder,
    )  # fmt: skip


def test_another_process_runs_the_text_that_was_hashed_though_the_files_are_gone(registered, tmp_path):
    beside = tmp_path / "mine.py"
    beside.write_text(test_contract.MINE)
    chosen = [find(COMPOSITION), find("channel-mean"), find("A"), find("./mine.py:Mine", tmp_path)]
    sources = needed_sources([*chosen, *chosen])
    assert [source.file for source in sources] == [str(registered), str(beside)]
    assert needed_sources([find("A"), find("exclusive-gate")]) == ()
    registered.unlink()
    beside.write_text("class Mine: pass\n")
    done = child(sources, [strategy.reference() for strategy in chosen], tmp_path)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line) for line in done.stdout.splitlines()] == [strategy.identity() for strategy in chosen]
    told = [line for line in done.stderr.splitlines() if line.startswith("note: shortcut")]
    assert f"note: shortcut 'my_operations.py' runs code from {registered}" in told
    assert len(told) == len(set(told))


def test_a_text_that_is_not_its_hash_and_code_that_fails_are_refused_in_one_line(registered, tmp_path):
    (source,) = needed_sources([find("channel-mean")])
    with pytest.raises(IntegrityError, match=r"my_operations\.py"):
        load_sources([CustomSource(source.file, source.sha256, source.text + "#")])
    text = "import os\nraise ValueError('no')\n"
    broken = CustomSource(str(tmp_path / "no.py"), hashlib.sha256(text.encode()).hexdigest(), text)
    with pytest.raises(UsageError, match=r"no\.py:2.*contract") as caught:
        load_sources([broken])
    assert len(caught.value.lines) == 1


@pytest.mark.parametrize("file", [None, "script.py"])
def test_what_a_notebook_or_a_script_defines_stays_in_its_process(clean, tmp_path, file):
    (tmp_path / "script.py").write_text(FILE)
    scope = {"__name__": "__main__", **({"__file__": str(tmp_path / file)} if file else {})}
    exec(compile(FILE, file or "<cell>", "exec"), scope)  # noqa: S102  # our own text
    for reference in (COMPOSITION, "channel-mean"):
        strategy = find(reference)
        assert "__main__" in in_this_process_only(strategy)
        assert build_shortcut(strategy, Site(4, 8, 2)) is not None
        with pytest.raises(UsageError, match="jobs: 0"):
            needed_sources([strategy])
    assert in_this_process_only(find("A")) is None


def test_a_name_that_is_taken_is_refused_and_the_same_file_may_replace_its_own(registered, tmp_path):
    for name in ("A", "projection", "cm"):
        with pytest.raises(UsageError, match="taken"):
            register(name)(type("Other", (), {"__module__": __name__}))
    for name in ("avg", "corner"):
        with pytest.raises(UsageError, match="taken"):
            register(SpatialOperation(name, "another"))
    with pytest.raises(UsageError, match="defined in"):
        register("other")(test_contract.MINE.__class__)
    before = find(COMPOSITION).identity()
    imported(tmp_path, FILE + "# another version\n")
    assert find(COMPOSITION).identity() != before
    assert [strategy.name for strategy in strategies()].count("channel-mean") == 1


def test_a_registered_operation_that_breaks_the_contract_is_named_with_file_and_line(clean, tmp_path):
    broken = FILE.replace("        s, (height", "        raise ValueError('no')\n        s, (height")
    file = imported(tmp_path, broken)
    with pytest.raises(UsageError) as caught:
        build_shortcut(find({"spatial": "corner", "channels": "pad"}), Site(4, 8, 2))
    line = file.read_text().splitlines().index("        raise ValueError('no')") + 1
    assert f"{file}:{line}" in str(caught.value)
    assert len(caught.value.lines) == 1
