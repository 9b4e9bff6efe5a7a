import pickle  # how errors cross process boundaries

import pytest

from resnet_shortcuts.errors import (
    BusyError,
    DataError,
    EnvironmentFault,
    IntegrityError,
    ManyErrors,
    RscError,
    UsageError,
)


@pytest.mark.parametrize(
    ("kind", "code"),
    [(RscError, 1), (UsageError, 2), (DataError, 3), (IntegrityError, 4), (EnvironmentFault, 5), (BusyError, 75)],
)
def test_exit_codes_are_those_that_the_documentation_promises(kind, code):
    assert kind("x").exit_code == code


def test_an_error_is_one_line_whatever_its_parts_hold():
    error = DataError("cannot be read\n  (two lines)", "a.jpg", "replace it")
    assert error.lines == ["cannot be read (two lines): a.jpg: replace it"]


def test_many_errors_are_a_line_each_and_survive_a_process_boundary():
    both = ManyErrors([UsageError("a", "x:1", "do"), UsageError("b", "x:2", "do")])
    again = pickle.loads(pickle.dumps(both))
    assert again.lines == ["a: x:1: do", "b: x:2: do"]
    assert again.exit_code == 2


def test_control_characters_of_names_never_reach_a_terminal():
    (line,) = DataError("cannot read", "a\x1b[31m\x9b\u202e\udcff\n.png").lines
    assert line.isprintable()
    assert "a\\x1b[31m" in line
