"""Archives that mean harm: nothing is written, whatever they say."""

import tarfile

import pytest

from resnet_shortcuts.data.sources.archive import read_members
from resnet_shortcuts.errors import DataError

from .cifar_files import tar_gz


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    ("evil", "told"),
    [
        (member("../evil"), "points outside"),
        (member("a/../../evil"), "points outside"),
        (member("/tmp/evil"), "points outside"),
        (member("link", tarfile.SYMTYPE, "/etc/passwd"), "link or device"),
        (member("hard", tarfile.LNKTYPE, "/etc/passwd"), "link or device"),
        (member("null", tarfile.CHRTYPE), "link or device"),
        (member("pipe", tarfile.FIFOTYPE), "link or device"),
    ],
)
def test_fault_23_evil_members_are_refused(tmp_path, evil, told):
    box = tmp_path / "box"
    box.mkdir()
    path = box / "a.tar.gz"
    path.write_bytes(tar_gz([evil, member("wanted")]))
    with pytest.raises(DataError, match=told):
        read_members(path, {"wanted": 10}, 10**6)
    assert sorted(entry.name for entry in tmp_path.rglob("*")) == ["a.tar.gz", "box"]


def test_fault_24_decompression_bombs_are_capped(tmp_path):
    path = tmp_path / "bomb.tar.gz"
    path.write_bytes(tar_gz({"zeros": bytes(20_000_000), "wanted": b"x"}))
    assert path.stat().st_size < 100_000
    with pytest.raises(DataError, match="unpacks to more than 1,000,000 bytes"):
        read_members(path, {"wanted": 10}, 10**6)
    with pytest.raises(DataError, match="has 20,000,000 bytes, not 10"):
        read_members(path, {"zeros": 10}, 10**8)


def test_fault_24_so_are_endless_lists_of_members(tmp_path, monkeypatch):
    monkeypatch.setattr("resnet_shortcuts.data.sources.archive.MAX_MEMBERS", 5)
    (tmp_path / "many.tar.gz").write_bytes(tar_gz([member(str(number)) for number in range(9)]))
    with pytest.raises(DataError, match="more than 5 members"):
        read_members(tmp_path / "many.tar.gz", {"0": 1}, 10**6)


def test_fault_20_an_archive_truncated_anywhere_is_named(tmp_path):
    data, path = tar_gz({"wanted": bytes(range(256)) * 10}), tmp_path / "a.tar.gz"
    path.write_bytes(data)
    assert read_members(path, {"wanted": 2560}, 10**6) == {"wanted": bytes(range(256)) * 10}
    for end in range(0, len(data) - 20, 37):
        path.write_bytes(data[:end])
        with pytest.raises(DataError, match=r"a\.tar\.gz"):
            read_members(path, {"wanted": 2560}, 10**6)


def test_a_missing_member_is_named(tmp_path):
    (tmp_path / "a.tar.gz").write_bytes(tar_gz({"other": b""}))
    with pytest.raises(DataError, match="archive lacks wanted"):
        read_members(tmp_path / "a.tar.gz", {"wanted": 1}, 10**6)
