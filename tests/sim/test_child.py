"""A reader in a child process gives its result or one line, whatever it does."""

import numpy as np
import pytest

from npecat_sim.errors import NpecatError
from npecat_sim.io.child import in_child
from tests.helpers import child_work


def test_the_result_comes_back_and_prints_do_not_spoil_it(capfd):
    answer = in_child(child_work.numbers, b"5", work=0)
    np.testing.assert_array_equal(answer["numbers"], np.arange(5))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("function", "argument", "named"),
    [
        (child_work.numbers, b"ten", "invalid literal"),
        (child_work.close, b"-1", "Bad file descriptor"),
        (child_work.leave, b"3", r"crashed \(status 3\)"),
        (child_work.allocate, b"10000000000", "more memory than"),
        (child_work.count, b"1000000000000", "more than 1 s"),
        (child_work.fetch, b"file:///etc/hostname", "nothing is fetched"),
        (child_work.fetch, b"http://127.0.0.1:9/", "nothing is fetched"),
        (child_work.objects, b"", "holds objects"),
    ],
)
def test_whatever_goes_wrong_is_one_line(function, argument, named, monkeypatch):
    monkeypatch.setattr("npecat_sim.io.child.SECONDS", 1)
    with pytest.raises(NpecatError, match=named) as refusal:
        in_child(function, argument, work=0)
    assert "\n" not in str(refusal.value)


def test_an_abort_stays_in_the_child():
    with pytest.raises(NpecatError, match=r"crashed \(SIGABRT\)"):
        in_child(child_work.abort, b"", work=0)
