import importlib

import pytest
import torch

from resnet_shortcuts.errors import UsageError
from resnet_shortcuts.shortcuts import Site, build_shortcut, custom_sources, find, strategies

GOOD = """
import torch
from resnet_shortcuts.shortcuts import Shortcut

class Mine(Shortcut):
    def __init__(self, site):
        super().__init__()
        self.site = site

    def forward(self, x, residual):
        {body}
"""
FINE = "return residual + x.mean((1, 2, 3), keepdim=True)"


def write(folder, body=FINE, text=GOOD):
    file = folder / "my_shortcut.py"
    file.write_text(text.format(body=body))
    return file


def test_a_users_own_is_found_announced_and_built(tmp_path, capsys):
    file = write(tmp_path)
    mine = find("./my_shortcut.py:Mine", tmp_path)
    assert mine.name == "Mine"
    assert str(file) in capsys.readouterr().err
    y = build_shortcut(mine, Site(4, 8, 2))(torch.ones(1, 4, 4, 4), torch.zeros(1, 8, 2, 2))
    assert torch.equal(y, torch.ones(1, 8, 2, 2))
    assert find(mine.reference()).identity() == mine.identity()


def test_its_source_is_its_identity(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    write(tmp_path / "a"), write(tmp_path / "b")
    one, two = find("a/my_shortcut.py:Mine", tmp_path), find("b/my_shortcut.py:Mine", tmp_path)
    assert one.identity() == two.identity()
    write(tmp_path / "b", "return residual + 2 * x.mean((1, 2, 3), keepdim=True)")
    assert find("b/my_shortcut.py:Mine", tmp_path).identity() != one.identity()


@pytest.mark.parametrize(
    ("body", "said"),
    [("return x", "shape"), ("return residual.double() + x.mean()", "float64"), ("return 3", "int"),
     ("return residual.mul_(2)", "in place"), ("return (residual * x.mean()).detach()", "gradient"),
     ("return residual + x.detach().mean()", "gradient"), ("return residual + x / 0 * 0", "finite"),
     ("if len(x) == 1: raise ValueError('no single')\n        return residual + x", "no single"),
     ("return undefined", "undefined"), ("raise ValueError('no')", "no")],
)  # fmt: skip
def test_one_that_breaks_the_contract_is_named_with_file_and_line(tmp_path, body, said):
    file = write(tmp_path, body)
    with pytest.raises(UsageError) as caught:
        build_shortcut(find("./my_shortcut.py:Mine", tmp_path), Site(4, 4, 1))
    line = 11 if "undefined" in body or "raise" in body else 5
    assert f"{file}:{line}" in str(caught.value)
    assert said in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [("def f(:\n", ":1"), ("import nothing_of_that_name\nclass Mine: pass\n", "nothing_of_that_name"),
     ("class Mine: pass\nraise SystemExit(0)\n", ":2"),
     ("class Mine: pass\n", "subclass"), ("class Other: pass\n", "no class 'Mine'")],
)  # fmt: skip
def test_one_that_cannot_be_imported_is_named_with_file_and_line(tmp_path, text, said):
    file = write(tmp_path, text=text)
    with pytest.raises(UsageError) as caught:
        build_shortcut(find("./my_shortcut.py:Mine", tmp_path), Site(4, 4, 1))
    assert str(file) in str(caught.value)
    assert said in str(caught.value)


def test_missing_file_and_malformed_reference(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        find("./none.py:Mine", tmp_path)
    with pytest.raises(UsageError, match=r"my_shortcut\.py:Mine"):
        find("./my_shortcut.py", tmp_path)


def test_a_plugin_may_refuse_a_site(tmp_path):
    body = "return residual + x"
    text = GOOD.replace("super().__init__()", "super().__init__()\n        if site.changes:\n"
                        "            raise site.refuse('Mine', 'on principle')")  # fmt: skip
    write(tmp_path, body, text)
    mine = find("./my_shortcut.py:Mine", tmp_path)
    assert build_shortcut(mine, Site(4, 4, 1)) is not None
    with pytest.raises(UsageError, match="on principle"):
        build_shortcut(mine, Site(4, 8, 2))


def test_a_file_that_changes_after_the_config_was_read_is_refused(tmp_path):
    file = write(tmp_path)
    mine = find("./my_shortcut.py:Mine", tmp_path)
    file.write_text(file.read_text() + "\n# another\n")
    with pytest.raises(UsageError, match="changed"):
        build_shortcut(mine, Site(4, 4, 1))


def test_the_entry_point_group(tmp_path, monkeypatch):
    (tmp_path / "somebodys.py").write_text(GOOD.format(body=FINE))
    monkeypatch.syspath_prepend(str(tmp_path))
    info = tmp_path / "somebodys-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: somebodys\nVersion: 1\n")
    group = custom_sources.GROUP
    (info / "entry_points.txt").write_text(f"[{group}]\nsomebodys = somebodys:Mine\nA = somebodys:Mine\n")
    importlib.invalidate_caches()
    custom_sources.installed.cache_clear()
    try:
        assert "somebodys" in [strategy.name for strategy in strategies()]
        assert find("A").name == "stride-pad"
        mine = find("somebodys")
        assert mine.reference() == "somebodys"
        assert build_shortcut(mine, Site(4, 8, 2)) is not None
    finally:
        custom_sources.installed.cache_clear()


def test_the_check_does_not_depend_on_who_builds_first(tmp_path):
    write(tmp_path)
    with torch.no_grad(), torch.device("meta"):
        assert build_shortcut(find("./my_shortcut.py:Mine", tmp_path), Site(4, 8, 2)) is not None
