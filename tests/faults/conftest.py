"""Fixtures of the reliability tests."""

import pytest

from tests.faults.rig import ForkServer, make_rig


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def rig(tmp_path, cache):
    return make_rig(tmp_path, cache)


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    server = ForkServer(tmp_path_factory.mktemp("sessions"))
    yield server
    server.close()


@pytest.fixture(scope="session")
def uninterrupted(server, tmp_path_factory, cache):
    """What the tiny run ends with when nothing disturbs it."""
    rig = make_rig(tmp_path_factory.mktemp("uninterrupted"), cache)
    events = server.finish(rig)
    assert [event["event"] for event in events if event["event"] != "progress"] == ["ready", "done"]
    return rig.outcome()
