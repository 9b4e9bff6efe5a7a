"""Paths and the cache folder: what users write, and what is said where the environment lacks something."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from resnet_shortcuts.errors import EnvironmentFault, Exit
from resnet_shortcuts.paths import cache_folder, expand


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DISK", "/mnt/disk")
    monkeypatch.delenv("NOT_SET", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def test_home_and_variables_are_expanded(home):
    assert expand("~/data") == home / "data"
    assert expand("$DISK/a") == expand("${DISK}/a") == Path("/mnt/disk/a")
    assert expand(Path("a/~b")) == Path("a/~b"), "only a leading ~ means a home folder"
    assert expand("plain/path") == Path("plain/path")


def test_a_path_that_exists_as_written_is_taken_as_written(tmp_path):
    for name in ("~", "$NOT_SET", "~nobody"):
        (tmp_path / name).mkdir()
        assert expand(name) == Path(name)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("$NOT_SET/x", "environment variable NOT_SET is not set"),
        ("${NOT_SET}/x", "environment variable NOT_SET is not set"),
        ("~nobody-of-this-name/x", "user 'nobody-of-this-name' has no home folder"),
    ],
)
def test_what_cannot_be_expanded_is_an_environment_fault(written, message):
    with pytest.raises(EnvironmentFault, match=message) as caught:
        expand(written)
    assert caught.value.exit_code == Exit.ENVIRONMENT


def test_the_cache_folder_follows_rsc_cache(home, monkeypatch, tmp_path):
    monkeypatch.setenv("RSC_CACHE", "~/cache")
    assert cache_folder() == home / "cache"
    (tmp_path / "file").write_text("")
    for unusable in ("file", "file/below", "x" * 300):
        monkeypatch.setenv("RSC_CACHE", str(tmp_path / unusable))
        with pytest.raises(EnvironmentFault, match="RSC_CACHE"):
            cache_folder()


_WITHOUT_HOME = """
import os, sys
os.getuid = lambda: 54321
import pwd
def unknown(uid): raise KeyError(uid)
pwd.getpwuid = unknown
from resnet_shortcuts.errors import EnvironmentFault
from resnet_shortcuts.paths import cache_folder, expand
for ask in (cache_folder, lambda: expand("~/x")):
    try:
        print(ask())
    except EnvironmentFault as error:
        print(error)
"""


def test_no_home_is_an_environment_fault_that_names_rsc_cache():
    environment = {name: value for name, value in os.environ.items() if name not in ("HOME", "RSC_CACHE")}
    environment = {name: value for name, value in environment.items() if not name.startswith("XDG_")}
    command = [sys.executable, "-c", _WITHOUT_HOME]
    root = Path(__file__).parents[1]
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, check=True)
    assert "no cache folder: HOME is not set: RSC_CACHE: set RSC_CACHE" in done.stdout
    assert "no home folder: HOME is not set: ~/x" in done.stdout


def test_the_platforms_cache_folder_needs_no_rsc_cache(home, monkeypatch):
    monkeypatch.delenv("RSC_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "xdg"))
    assert cache_folder() == home / "xdg" / "resnet-shortcuts"
