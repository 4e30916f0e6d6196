"""A reader in a child process gives its result or one line, whatever it does."""

import os
import urllib.request

import numpy as np
import pytest

from npecat_sim.errors import NpecatError
from npecat_sim.io.child import in_child


def test_the_result_comes_back_and_prints_do_not_spoil_it(capfd):
    np.testing.assert_array_equal(in_child(np.arange, 5, work=0), np.arange(5))
    assert in_child(print, "a library's chatter", work=0) is None
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("function", "argument", "named"),
    [
        (int, "ten", "invalid literal"),
        (os.close, -1, "Bad file descriptor"),
        (os._exit, 3, r"crashed \(status 3\)"),
        (bytes, 10**10, "more memory than"),
        (sum, range(10**12), "more than 1 s"),
        (urllib.request.urlopen, "file:///etc/hostname", "nothing is fetched"),
        (urllib.request.urlopen, "http://127.0.0.1:9/", "nothing is fetched"),
    ],
)
def test_whatever_goes_wrong_is_one_line(function, argument, named, monkeypatch):
    monkeypatch.setattr("npecat_sim.io.child.SECONDS", 1)
    with pytest.raises(NpecatError, match=named) as refusal:
        in_child(function, argument, work=0)
    assert "\n" not in str(refusal.value)


def test_an_abort_stays_in_the_child():
    with pytest.raises(NpecatError, match=r"crashed \(SIGABRT\)"):
        in_child(os.abort, work=0)
