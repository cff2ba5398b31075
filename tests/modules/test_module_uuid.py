"""Identifiers of RFC 9562."""

from __future__ import annotations

from uuid import NAMESPACE_DNS, UUID, uuid3, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.modules.uuid import UuidModule, named_uuid, timed_uuid
from module_services import START, MovedClock, module_services, new_run, var


@given(st.text())
def test_named_ones_agree_with_the_library(name: str) -> None:
    name = name.encode("utf-8", "replace").decode()
    assert named_uuid(3, NAMESPACE_DNS, name.encode()) == uuid3(NAMESPACE_DNS, name)
    assert named_uuid(5, NAMESPACE_DNS, name.encode()) == uuid5(NAMESPACE_DNS, name)


@given(st.floats(0, 2**47 / 1000))
def test_a_timed_one_begins_with_its_time(seconds: float) -> None:
    made = timed_uuid(seconds)
    assert made.int >> 80 == int(seconds * 1000)
    assert (made.version, made.variant) == (7, "specified in RFC 4122")


@pytest.mark.parametrize(("version", "made"), [(None, 4), ("0", 4), ("1", 1), ("4", 4), ("04", 4), ("7", 7)])
def test_the_variable_makes_a_new_one_each_time(version: str | None, made: int) -> None:
    module = UuidModule(module_services())
    first, second = (module.uuid_variable(new_run(), version) for _ in range(2))
    assert first is not None and second is not None and first != second
    assert UUID(first).version == UUID(second).version == made


@pytest.mark.parametrize("version", ["2", "3", "5", "9", "x", "", " 4", "-1", "²", "9" * 5000])
def test_the_variable_is_null_for_other_versions(version: str) -> None:
    assert UuidModule(module_services()).uuid_variable(new_run(), version) is None


@pytest.mark.parametrize(("version", "made"), [(0, 4), (1, 1), (2, 4), (4, 4), (7, 7)])
def test_the_function_writes_a_new_one(version: int, made: int) -> None:
    run = new_run()
    assert UuidModule(module_services()).uuid(run, var(), version) in (1, 2)
    assert UUID(str(run.vars[0])).version == made


def test_version_7_takes_the_time_of_the_host() -> None:
    run = new_run()
    UuidModule(module_services(MovedClock())).uuid(run, var(), 7)
    assert UUID(str(run.vars[0])).int >> 80 == int(START * 1000)


def test_named_ones_need_a_namespace_and_a_name() -> None:
    module, run = UuidModule(module_services()), new_run()
    assert module.uuid(run, var(), 5, str(NAMESPACE_DNS).upper(), "www.example.com") == 1
    assert run.vars[0] == "2ed6657d-e927-568b-95e1-2665a8aea6a2"
    assert module.uuid(run, var(), 3, str(NAMESPACE_DNS), "www.example.com") == 1
    assert run.vars[0] == "5df41881-3aed-3515-88a7-2f4a814cf09e"
    for namespace, name in ((None, None), (str(NAMESPACE_DNS), None), ("@dns", "n"), (NAMESPACE_DNS.hex, "n")):
        assert module.uuid(run, var(), 5, namespace, name) == -1


@pytest.mark.parametrize("version", [6, 8, 9, -1])
def test_other_versions_fail(version: int) -> None:
    assert UuidModule(module_services()).uuid(new_run(), var(), version) == -1
