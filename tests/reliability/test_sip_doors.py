"""A host whose SIP doors are attacked from all sides answers what it can, counts the rest, and keeps its `mi()`."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from fuzz.doors import Report, attack, mutated

pytestmark = pytest.mark.e2e


async def test_a_host_under_attack_answers_counts_and_stays_small(tmp_path):
    report = await attack(3, tmp_path, burst=1_000)
    assert report.complaints == [], "\n".join([*report.lines(), (tmp_path / "log").read_text()[-2000:]])
    assert len(report.sent) == 7, "every attacker has had its turn"
    assert min(report.sent.values()) > 0
    assert report.counters["bad_msg_hdr"] > 0 and report.counters["drop_requests"] > 0
    assert report.counters["err_requests"] == report.counters["err_replies"] == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"exit_status": -9},
        {"tracebacks": 1},
        {"phone_asked": 3, "phone_answered": 2},
        {"mi_failed": 1},
        {"mi_calls": 0},
        {"memory_before": 40.0, "memory_most": 400.0},
    ],
)
def test_what_must_not_be_is_complained_about(wrong):
    right = {"phone_asked": 1, "phone_answered": 1, "mi_calls": 1}
    assert Report(**right).complaints == []
    assert len(Report(**{**right, **wrong}).complaints) == 1


def test_mutations_depend_on_the_seed_alone():
    one, two = random.Random(1), random.Random(1)
    assert [mutated(b"INVITE x" * 9, one) for _ in range(50)] == [mutated(b"INVITE x" * 9, two) for _ in range(50)]
