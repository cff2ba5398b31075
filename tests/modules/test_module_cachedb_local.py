"""The cache in memory."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.cachedb import CacheEngine, CacheError, engine_named
from miscript.errors import ConfigurationError, MIError
from miscript.glob_pattern import glob_matcher
from miscript.mi.command import Later
from miscript.modules.cachedb_local import SWEEP, CachedbLocal
from miscript.modules.cachedb_local.engine import LocalCache
from miscript.modules.cachedb_local.persistence import Entry, read_entries, write_entries
from module_services import MovedClock, module_services, new_run
from script_lines import printed

# -- one collection -------------------------------------------------------------------------------------------------


def test_a_collection_is_a_cache_engine() -> None:
    engine: CacheEngine = LocalCache(MovedClock().monotonic)
    assert isinstance(engine, CacheEngine)


def test_a_value_is_kept_until_its_time_is_over() -> None:
    clock = MovedClock()
    cache = LocalCache(clock.monotonic)
    cache.store("short", "v", 2)
    cache.store("long", "w", 0)
    clock.now = 1.999
    assert cache.fetch("short") == "v"
    clock.now = 2.0
    cache.drop_overdue(cache.keys())
    assert cache.keys() == ["long"]
    assert (cache.fetch("short"), cache.fetch("long"), len(cache)) == (None, "w", 1)


def test_removing_and_fetching_what_is_not_there_is_fine() -> None:
    cache = LocalCache(MovedClock().monotonic)
    cache.remove("k")
    assert cache.fetch("k") is None and cache.counter("k") is None


def test_numbers_are_added_in_32_bits_and_keep_their_time() -> None:
    clock = MovedClock()
    cache = LocalCache(clock.monotonic)
    assert [cache.add("n", 5, 10), cache.add("n", 3, 0), cache.add("n", -10, 99)] == [5, 8, -2]
    assert (cache.fetch("n"), cache.counter("n")) == ("-2", -2)
    clock.now = 10
    assert cache.counter("n") is None
    cache.store("n", "2147483647", 0)
    assert cache.add("n", 1, 0) == -2147483648


@pytest.mark.parametrize("value", ["", "abc", "12abc", " 12", "1.5", "²", "9" * 5000])
def test_a_text_is_no_number(value: str) -> None:
    cache = LocalCache(MovedClock().monotonic)
    cache.store("t", value, 0)
    for attempt in (lambda: cache.add("t", 1, 0), lambda: cache.counter("t")):
        with pytest.raises(CacheError, match="no number"):
            attempt()
    assert cache.fetch("t") == value


# -- globs ----------------------------------------------------------------------------------------------------------

WORDS = st.sampled_from(
    ["a", "b", "c", "*", "?", "[a-b]", "[!b]", "[^a]", "[]-]", "\\*", "\\a", "[[:alpha:]]", "-", "]"]
)


def _fnmatch() -> Any:
    try:
        return ctypes.CDLL(None).fnmatch
    except (AttributeError, OSError, TypeError):
        return None


@pytest.mark.skipif(_fnmatch() is None, reason="the C library has no fnmatch")
@given(st.lists(WORDS, max_size=6).map("".join), st.text(alphabet="abc-]*?[\\", max_size=6))
def test_globs_match_what_the_c_library_matches(glob: str, text: str) -> None:
    assert glob_matcher(glob)(text) == (_fnmatch()(glob.encode(), text.encode(), 0) == 0)


@pytest.mark.parametrize(
    ("glob", "text", "matches"),
    [
        ("k?x", "k/x", True),
        ("*k", ".k", True),
        ("K*", "kab", False),
        ("k[", "k[", True),
        ("k[^]", "k]", False),
        ("k[a-]b", "k-b", True),
        ("[z-a]", "z", False),
        ("k\\", "k\\", False),
        ("", "", True),
        ("", "a", False),
        ("a*", "a\nb", True),
    ],
)
def test_globs(glob: str, text: str, matches: bool) -> None:
    assert glob_matcher(glob)(text) is matches


@given(st.text(), st.text())
def test_any_text_is_a_glob(glob: str, text: str) -> None:
    glob_matcher(glob)(text)


def test_many_stars_take_no_longer_than_few() -> None:
    begin = time.perf_counter()
    assert not glob_matcher("*a" * 30 + "*b")("a" * 10_000)
    assert time.perf_counter() - begin < 5


# -- the module -----------------------------------------------------------------------------------------------------


def module(clock: MovedClock | None = None, **parameters: list[str] | str | int) -> CachedbLocal:
    made = CachedbLocal(module_services(clock))
    for name, value in parameters.items():
        for one in value if isinstance(value, list) else [value]:
            made.set_parameter(name, one)
    made.init()
    return made


def offered(made: CachedbLocal) -> dict[str, str]:
    """The collection behind each name that scripts use."""
    names = {id(cache): name for name, cache in made.collections.items()}
    return {name: names[id(cache)] for name, cache in made.services.offers.items()}


@pytest.mark.parametrize(
    ("parameters", "engines"),
    [
        ({}, {"cachedb:local": "default"}),
        ({"cachedb_url": ["local://"]}, {"cachedb:local": "default"}),
        ({"cachedb_url": ["local:g://"]}, {"cachedb:local:g": "default"}),
        (
            {
                "cache_collections": ["second=2; third/r = 5 ;;", "a b"],
                "cachedb_url": ["local:///second", "local:two:///a b", "local://host/third"],
            },
            {"cachedb:local": "third", "cachedb:local:two": "a b"},
        ),
    ],
)
def test_urls_name_collections(parameters: dict[str, Any], engines: dict[str, str]) -> None:
    made = module(**parameters)
    assert offered(made) == engines
    assert engine_named(made.services.find, "nosuch") is None
    assert engine_named(made.services.find, "local:") is engine_named(made.services.find, "local")


@pytest.mark.parametrize(
    ("parameters", "at_fault"),
    [
        ({"cachedb_url": ["local"]}, "cachedb_url"),
        ({"cachedb_url": ["redis:///x"]}, "cachedb_url"),
        ({"cachedb_url": ["local:g:///nosuch"]}, "cachedb_url"),
        ({"cache_collections": ["a=x"]}, "cache_collections"),
        ({"cache_collections": ["a;a"]}, "cache_collections"),
        ({"cache_clean_period": 0}, "cache_clean_period"),
        ({"cluster_id": 1}, "cluster_id"),
        ({"cluster_id": -1}, "cluster_id"),
    ],
)
def test_parameters_without_sense_are_refused(parameters: dict[str, Any], at_fault: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        module(**parameters)
    assert refused.value.parameter == at_fault


def shown(answer: object) -> dict[str, list[dict[str, str]]]:
    """The answer of a command that was there at once."""
    return cast(dict[str, list[dict[str, str]]], answer)


def test_chunks_are_told_and_removed() -> None:
    made = module(cache_collections=["second"])
    made.collections["default"].store("user_1", "a", 0)
    made.collections["default"].store("other", "b", 0)
    made.collections["second"].store("user_1", "c", 0)
    assert made.mi_fetch_chunk("user*") == {"keys": [{"name": "user_1", "value": "a"}]}
    assert made.mi_fetch_chunk("*", "second") == {"keys": [{"name": "user_1", "value": "c"}]}
    assert made.mi_remove_chunk("user*") == "OK"
    assert made.mi_fetch_chunk("*") == {"keys": [{"name": "other", "value": "b"}]}
    assert made.cache_remove_chunk(new_run(), None, "*") == 1
    assert made.cache_remove_chunk(new_run(), "second", "zz*") == 1
    assert [len(cache) for cache in made.collections.values()] == [0, 1]


def test_keys_are_listed_in_the_order_of_the_servers_buckets() -> None:
    made = module(cache_collections=["small=0"])
    for key in ("k2", "k3", "kq", "kb", "kz", "kf"):
        made.collections["default"].store(key, "", 0)
        made.collections["small"].store(key, "", 0)
    made.collections["small"].store("k3", "again", 0)
    observed = [entry["name"] for entry in shown(made.mi_fetch_chunk("*"))["keys"]]
    assert observed == ["kf", "kb", "kz", "kq", "k2", "k3"]
    in_one_bucket = [entry["name"] for entry in shown(made.mi_fetch_chunk("*", "small"))["keys"]]
    assert in_one_bucket == ["k3", "kf", "kz", "kb", "kq", "k2"]


def test_a_collection_that_is_not_there() -> None:
    made = module()
    assert made.cache_remove_chunk(new_run(), "nosuch", "*") == -1
    with pytest.raises(MIError) as refused:
        made.mi_remove_chunk("*", "nosuch")
    assert (refused.value.code, refused.value.message) == (500, "Internal error")
    with pytest.raises(MIError) as refused:
        made.mi_fetch_chunk("*", "nosuch")
    assert refused.value.code == -32602


async def test_expired_entries_are_dropped_without_being_asked_for() -> None:
    clock = MovedClock()
    made = module(clock, cache_collections=["second"])
    for cache in made.collections.values():
        cache.store("short", "v", 1)
        cache.store("long", "v", 100)
    clock.now = 50
    await made._clean_up()
    assert [len(cache) for cache in made.collections.values()] == [1, 1]


async def test_work_on_many_entries_lets_others_have_their_turn() -> None:
    clock = MovedClock()
    made = module(clock)
    cache = made.collections["default"]
    for number in range(3 * SWEEP):
        cache.store(f"{'odd' if number % 2 else 'even'}{number}", "v", 0)
    answer = made.mi_fetch_chunk("odd*")
    assert isinstance(answer, Later) and len(shown(await answer)["keys"]) == 3 * SWEEP // 2
    removed = made.cache_remove_chunk(new_run(), None, "odd*")
    assert isinstance(removed, Awaitable) and await removed == 1
    assert len(cache) == 3 * SWEEP // 2 and len(clock.slept) >= 6
    answer = made.mi_remove_chunk("even*")
    assert isinstance(answer, Later) and await answer == "OK" and len(cache) == 0


# -- from one run to the next ---------------------------------------------------------------------------------------


def kept_module(folder: Path, clock: MovedClock, **parameters: list[str] | str | int) -> CachedbLocal:
    made = CachedbLocal(module_services(clock))
    made.services.working_folder = str(folder)
    for name, value in ({"enable_restart_persistency": 1} | parameters).items():
        for one in value if isinstance(value, list) else [value]:
            made.set_parameter(name, one)
    made.init()
    return made


async def test_entries_outlive_the_host_when_the_script_wants_that(tmp_path: Path) -> None:
    first = kept_module(tmp_path, MovedClock(), cache_collections=["second"])
    first.collections["default"].store("k", "\udcff\n", 0)
    first.collections["default"].store("short", "v", 30)
    first.collections["second"].store("n", "5", 1000)
    await first.stop()
    clock = MovedClock()
    clock.now = 500.0
    later = kept_module(tmp_path, clock, cache_collections=["second"])
    await later.prepare()
    assert later.collections["default"].fetch("k") == "\udcff\n"
    assert later.collections["default"].fetch("short") is None and later.collections["second"].fetch("n") == "5"
    without = kept_module(tmp_path, clock)
    await without.prepare()
    assert len(without.collections["default"]) == 2


@pytest.mark.parametrize("text", ["", "{}", "junk", '{"miscript": "cachedb_local", "version": 1}\n[1, 2]', "\xff"])
async def test_a_file_that_cannot_be_read_leaves_the_cache_empty(tmp_path: Path, text: str) -> None:
    (tmp_path / ".restart_persistency.cache.cachedb_local").write_bytes(text.encode("latin-1"))
    made = kept_module(tmp_path, MovedClock())
    await made.prepare()
    assert len(made.collections["default"]) == 0


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    write_entries(tmp_path / "kept", [Entry("c", "k", "v", None)])
    assert (tmp_path / "kept").stat().st_mode & 0o777 == 0o600
    assert list(read_entries(tmp_path / "kept")) == [Entry("c", "k", "v", None)]
    assert list(read_entries(tmp_path / "none")) == []


async def test_scripts_and_commands_use_the_same_entries() -> None:
    assert await printed(
        "cachedb_local mi_script",
        r"""
        cache_store("local", "user_1", "a"); mi("cache_fetch_chunk user*", $var(r)); xlog("$rc $var(r)\n");
        mi("cache_store local user_2 b", $var(r)); cache_fetch("local", "user_2", $var(v)); xlog("$rc $var(v)\n");
        cache_store("local:two", "user_1", "c"); cache_remove_chunk("second", "*");
        cache_fetch("local:two", "user_1", $var(v)); xlog("$rc\n");
        cache_remove_chunk(, "user*"); mi("cachedb_local:fetch_chunk *", $var(r)); xlog("$rc $var(r)\n");
        """,
        parameters='modparam("cachedb_local", "cache_collections", "second")\n'
        'modparam("cachedb_local", "cachedb_url", "local://")\n'
        'modparam("cachedb_local", "cachedb_url", "local:two:///second")\n',
    ) == ['1 {"keys":[{"name":"user_1","value":"a"}]}', "1 b", "-2", '1 {"keys":[]}']


def test_a_file_of_a_cache_is_new_and_its_owners_alone_whatever_stands_beside_it(tmp_path: Path) -> None:
    other, path = tmp_path / "other", tmp_path / "cache"
    other.write_text("precious")
    other.chmod(0o644)
    for name in ("cache.new", "cache"):
        (tmp_path / name).symlink_to(other)
    write_entries(path, [Entry("c", "k", "v", None)])
    assert (other.read_text(), path.is_symlink(), path.stat().st_mode & 0o777) == ("precious", False, 0o600)
    assert list(read_entries(path)) == [Entry("c", "k", "v", None)]


def test_a_file_of_a_cache_that_cannot_be_written_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    def broken() -> Iterator[Entry]:
        yield Entry("c", "k", "v", None)
        raise OSError("the disk is full")

    path = tmp_path / "cache"
    write_entries(path, [Entry("c", "old", "v", None)])
    with pytest.raises(OSError, match="full"):
        write_entries(path, broken())
    assert [entry.key for entry in read_entries(path)] == ["old"]
    assert [found.name for found in tmp_path.iterdir()] == ["cache"]
