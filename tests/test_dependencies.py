"""What the package requires is what it imports, no more and no less."""

import ast
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

from resnet_shortcuts.experiments import health

ROOT = Path(__file__).parents[1]
MODULES = {"pyyaml": "yaml", "scikit-learn": "sklearn", "pillow": "PIL"}  # distributions that import under another name


def requirements() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {re.match(r"[\w.-]+", line)[0].lower() for line in project["dependencies"]}


def optional() -> set[str]:
    """What the extras for users bring; the code that imports it says so where it is missing."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    return {re.match(r"[\w.-]+", line)[0].lower() for name, lines in extras.items() if name != "dev" for line in lines}


def imported() -> set[str]:
    """Top-level names that any module of the package imports, wherever in it."""
    names = set()
    for path in (ROOT / "resnet_shortcuts").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add(node.module.split(".")[0])
            elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
                names |= {str(each.value).split(".")[0] for each in node.args if isinstance(each, ast.Constant)}
    return names - set(sys.stdlib_module_names) - {"resnet_shortcuts"}


def test_every_requirement_is_imported() -> None:
    unused = {name for name in requirements() if MODULES.get(name, name.replace("-", "_")) not in imported()}
    assert not unused, f"required and imported by nothing: {sorted(unused)}"


def test_every_import_is_required() -> None:
    known = {MODULES.get(name, name.replace("-", "_")) for name in requirements() | optional()}
    assert imported() <= known, f"imported and not required: {sorted(imported() - known)}"


def test_doctor_shows_the_version_of_every_requirement(tmp_path: Path) -> None:
    required = [line for line in metadata.requires("resnet-shortcuts") or [] if "extra ==" not in line]
    shown = {row["what"]: row["found"] for row in health.examine(tmp_path, None)}
    for line in required:
        name = re.match(r"[\w.-]+", line)[0]
        assert shown[name] == metadata.version(name)
    assert "pytest" not in shown
