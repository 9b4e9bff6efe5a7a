"""One contract for every registered strategy, and for a user's own."""

import shutil

import pytest
import torch
from torch.func import functional_call

from resnet_shortcuts.errors import UsageError
from resnet_shortcuts.properties.declared import limits
from resnet_shortcuts.shortcuts import Site, build_shortcut, find, strategies

MINE = """
import torch
from resnet_shortcuts.shortcuts import Shortcut

class Mine(Shortcut):
    \"\"\"The mean over the channels, scaled by a learned factor.\"\"\"

    def __init__(self, site):
        super().__init__()
        self.stride = site.stride
        self.factor = torch.nn.Parameter(torch.ones(()))

    def forward(self, x, residual):
        return residual + self.factor.to(residual.dtype) * x[:, :, :: self.stride, :: self.stride].mean(1, keepdim=True)
"""
IN = 4
SITES = {f"{IN}-{out}-s{stride}": Site(IN, out, stride, 1, 3) for out in (IN, 2 * IN, 4 * IN) for stride in (1, 2)}
NAMES = [strategy.name for strategy in strategies()]
INDUCTOR = ("stride-pad", "avg-projection", "dropout")


@pytest.fixture(scope="session")
def plugin(tmp_path_factory):
    file = tmp_path_factory.mktemp("plugin") / "mine.py"
    file.write_text(MINE)
    return find(f"{file}:Mine")


@pytest.fixture(params=[*NAMES, "a user's own"])
def strategy(request):
    return request.getfixturevalue("plugin") if request.param == "a user's own" else find(request.param)


def inputs(site, batch=2, height=8, width=6, dtype=torch.float32, channels_last=False):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(batch, site.in_channels, height, width, generator=generator)
    size = (-(-height // site.stride), -(-width // site.stride))
    residual = torch.randn(batch, site.out_channels, *size, generator=generator)
    form = torch.channels_last if channels_last else torch.contiguous_format
    return x.to(dtype, memory_format=form), residual.to(dtype, memory_format=form)


def build(strategy, site, seed=0):
    torch.manual_seed(seed)
    return build_shortcut(strategy, site)


@pytest.mark.parametrize("site", SITES.values(), ids=SITES)
def test_shape_dtype_gradient_and_inputs_left_alone(strategy, site):
    shortcut = build(strategy, site)
    for batch, height, width in ((2, 8, 6), (2, 7, 5), (1, 9, 1), (3, 1, 1), (1, 2, 2)):
        if batch == 1 and height * width < 4 and any("bn" in name for name, _ in shortcut.named_modules()):
            continue
        x, residual = inputs(site, batch, height, width)
        before = x.clone(), residual.clone()
        a, b = x.requires_grad_(), residual.requires_grad_()
        many = shortcut.train(batch * -(-height // site.stride) * -(-width // site.stride) > 1)
        y = many(a * 1, b * 1)
        assert y.shape == residual.shape
        assert y.dtype == residual.dtype
        y.square().sum().backward()
        assert torch.equal(a.detach(), before[0])
        assert torch.equal(b.detach(), before[1])
    carries = strategy.name != "plain" and not (strategy.name == "skip-transitions" and site.changes)
    x, residual = inputs(site)
    x.requires_grad_()
    y = shortcut(x, residual.requires_grad_())
    gradient = torch.autograd.grad((y * torch.randn_like(y)).sum(), x, allow_unused=True)[0]
    assert (gradient is not None and bool(gradient.abs().sum() > 0)) is carries


def test_arguments_are_not_changed_in_place(strategy):
    x, residual = inputs(SITES["4-8-s2"])
    copies = x.clone(), residual.clone()
    with torch.no_grad():
        y = build(strategy, SITES["4-8-s2"])(x, residual)
        y.zero_() if y.data_ptr() not in {x.data_ptr(), residual.data_ptr()} else None
    assert torch.equal(x, copies[0])
    assert torch.equal(residual, copies[1])


@pytest.mark.parametrize("site", SITES.values(), ids=SITES)
def test_channels_last_is_kept_and_changes_nothing(strategy, site):
    shortcut = build(strategy, site).eval()
    plain = shortcut(*inputs(site))
    last = shortcut.to(memory_format=torch.channels_last)(*inputs(site, channels_last=True))
    torch.testing.assert_close(last, plain, rtol=1e-5, atol=1e-5, check_stride=False)
    assert last.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("site", [SITES["4-4-s1"], SITES["4-8-s2"]], ids=["same", "transition"])
def test_bf16_autocast(strategy, site):
    shortcut = build(strategy, site).eval()
    x, residual = inputs(site, dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = shortcut(x.requires_grad_(), residual.requires_grad_())
    assert y.dtype == torch.bfloat16
    y.float().sum().backward()
    expected = shortcut(x.detach().float(), residual.detach().float())
    torch.testing.assert_close(y.float(), expected, rtol=0.05, atol=0.1)


def test_compiles_in_one_graph(strategy):
    site = SITES["4-8-s2"]
    shortcut = build(strategy, site).train()
    x, residual = inputs(site)
    expected = shortcut(x, residual)
    torch._dynamo.reset()
    shortcut.load_state_dict(build(strategy, site).state_dict())
    compiled = torch.compile(shortcut, fullgraph=True, backend="aot_eager")
    a, b = x.clone().requires_grad_(), residual.clone().requires_grad_()
    y = compiled(a, b)
    torch.testing.assert_close(y, expected)
    y.square().sum().backward()
    assert b.grad is not None


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler")
@pytest.mark.parametrize("name", INDUCTOR)
def test_inductor(name):
    site = SITES["4-8-s2"]
    shortcut = build(find(name), site).train()
    x, residual = inputs(site)
    state = {key: value.clone() for key, value in shortcut.state_dict().items()}
    expected = shortcut(x, residual)
    shortcut.load_state_dict(state)
    torch._dynamo.reset()
    torch.testing.assert_close(torch.compile(shortcut, fullgraph=True)(x, residual), expected, rtol=1e-5, atol=1e-5)


def test_exports(strategy):
    site = SITES["4-8-s2"]
    shortcut = build(strategy, site).eval()
    x, residual = inputs(site)
    exported = torch.export.export(shortcut, (x, residual))
    torch.testing.assert_close(exported.module()(x, residual), shortcut(x, residual))


def test_functional_call_and_state_dict_round_trip(strategy):
    site = SITES["4-8-s2"]
    first, second = build(strategy, site, 0).eval(), build(strategy, site, 1).eval()
    state = first.state_dict()
    assert list(state) == list(second.state_dict())
    expected = first(*inputs(site))
    assert torch.equal(functional_call(second, state, inputs(site)), expected)
    second.load_state_dict(state)
    assert torch.equal(second(*inputs(site)), expected)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("out", [6, 9, 10, 12])
def test_other_sites_are_served_or_refused_as_declared(strategy, out, stride):
    site = Site(3, out, stride, 4, 9)
    limit = limits(strategy)
    refused = limit is not None and (
        ("whole multiple" in limit and out % 3 != 0)
        or ("stride 2" in limit and stride == 3)
        or ("1, 2 or 4" in limit and stride == 2 and out not in {3, 6, 12})
    )
    if not refused:
        assert build(strategy, site).eval()(*inputs(site, 2, 7, 8)).shape[1] == out
        return
    with pytest.raises(UsageError, match=f"{strategy.name}.*block 5 of 9, 3 to {out} channels, stride {stride}"):
        build(strategy, site)


def test_fewer_channels_are_served_by_learned_ones_alone(strategy):
    site = Site(8, 4, 2)
    if strategy.custom is not None or strategy.point.channels.name in {"conv", "conv-bn", "none"}:
        assert build(strategy, site)(*inputs(site)).shape[1] == 4
    else:
        with pytest.raises(UsageError, match="fewer channels"):
            build(strategy, site)
