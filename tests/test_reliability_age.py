"""``make check`` says when docs/reliability.md is older than what it covers."""

import subprocess

from tools.reliability_age import DOCUMENT, warning


def test_a_change_of_a_covered_file_since_the_documents_commit_is_named(tmp_path):
    def git(*arguments):
        command = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@localhost", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    covered = tmp_path / "resnet_shortcuts" / "durable.py"
    for folder in (covered.parent, (tmp_path / DOCUMENT).parent):
        folder.mkdir()
    covered.write_text("first")
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    commit = git("rev-parse", "HEAD")[:12]
    (tmp_path / DOCUMENT).write_text(f"Written by `make torture`: Python 3.11.7, commit {commit}.\n")
    assert warning(tmp_path) is None
    (tmp_path / "README.md").write_text("not covered")
    assert warning(tmp_path) is None
    covered.write_text("second")
    assert warning(tmp_path) == (
        f"warning: {DOCUMENT} is of {commit}; changed since: resnet_shortcuts/durable.py: run 'make torture'"
    )
    (tmp_path / DOCUMENT).write_text("commit unknown")
    assert "names no commit" in warning(tmp_path)
