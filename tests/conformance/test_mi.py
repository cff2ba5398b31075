"""The doors: what OpenSIPS 4.1 answered to 612 requests, answered by us, byte for byte.

A recording whose modules miscript does not all have yet waits for them; the test names them.  One whose modules are
there cannot wait.
"""

import pytest

from mi_exchanges import Played, recordings
from miscript.catalog import facts, module_class

pytestmark = pytest.mark.e2e
RECORDINGS = recordings()


def test_all_recordings_are_there():
    assert len(RECORDINGS) == 27
    assert sum(len(recording.data["exchanges"]) for recording in RECORDINGS) == 612


@pytest.mark.parametrize("recording", [r for r in RECORDINGS if not r.missing], ids=str)
async def test_our_doors_answer_like_those_of_opensips(recording, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TZ", "UTC")
    played = Played(recording, tmp_path)
    wrong = []
    try:
        await played.start()
        for number, exchange in enumerate(recording.data["exchanges"]):
            got = await played.play(exchange)
            if not played.agrees(exchange, got):
                wrong.append((number, exchange.get("why"), exchange["send"], exchange["recv"], got))
    finally:
        await played.stop()
    assert wrong == []
    assert [record for record in caplog.records if record.exc_info] == []


def test_a_recording_waits_only_for_modules_that_opensips_has_and_we_have_not():
    for recording in RECORDINGS:
        if recording.missing:
            print(f"{recording} waits for {', '.join(recording.missing)}")
            assert all(name in facts()["modules"] or name in BUILT_IN for name in recording.missing)
            assert all(module_class(name) is None for name in recording.missing)


BUILT_IN = facts()["core"]["builtin_modules"]


def test_what_needs_no_module_of_a_later_step_does_not_wait():
    assert sum(not recording.missing for recording in RECORDINGS) >= 17
