"""The file that traced messages go to: what it is made of, and what is never written to."""

import os
import stat

import pytest

from miscript.errors import ConfigurationError
from miscript.modules.tracer.destinations import TraceFile


class Lost:
    def add(self, amount=1):
        raise AssertionError("nothing is lost here")


def test_a_link_is_not_followed_whoever_has_put_it_there(tmp_path):
    other, link = tmp_path / "other", tmp_path / "trace"
    other.write_text("precious")
    link.symlink_to(other)
    with pytest.raises(ConfigurationError, match="cannot be opened"):
        TraceFile(str(link), 0o600, Lost())
    link.unlink()
    link.symlink_to(tmp_path / "new")
    with pytest.raises(ConfigurationError, match="cannot be opened"):
        TraceFile(str(link), 0o600, Lost())
    assert (other.read_text(), (tmp_path / "new").exists()) == ("precious", False)


def test_a_new_file_has_its_mode_and_no_other_kind_is_taken(tmp_path):
    path = tmp_path / "trace"
    os.close(TraceFile(str(path), 0o600, Lost())._file)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    os.mkfifo(tmp_path / "fifo")
    for place, why in (("fifo", "cannot be opened"), ("missing", "cannot be opened")):
        with pytest.raises(ConfigurationError, match=why):
            TraceFile(str(tmp_path / place), 0o600, Lost(), create=False)
