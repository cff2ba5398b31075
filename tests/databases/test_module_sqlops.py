"""Module sqlops: queries of scripts against SQLite, PostgreSQL, MariaDB and text files."""

from __future__ import annotations

import pytest

from database_scripts import printed
from miscript.errors import ScriptError
from miscript.sql.definitions import DEFINITIONS
from miscript.sql.driver import Habits, SqlDriver
from miscript.sql.schema import SqlStore, create_tables
from sql_tables import KINDS, url_of

MODULES = {"sqlite": "db_sqlite sqlops", "postgres": "db_postgres sqlops", "mysql": "db_mysql sqlops"}
TABLES = [definition for definition in DEFINITIONS if definition.name in ("usr_preferences", "dispatcher")]
ROWS = [
    {"setid": 1, "destination": "sip:one", "attrs": None},
    {"setid": 2, "destination": "sip:o'neil", "attrs": "x"},
    {"setid": 3, "destination": 'sip:"\\', "attrs": "y:z"},
]


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def url(kind, request, tmp_path):
    return url_of(kind, tmp_path, request)


async def lines(url, body, rest="", parameters=""):
    """What a script prints that asks the database, which has the rows above in its table `dispatcher`."""
    kind = url.partition(":")[0]
    db = SqlDriver(kind, Habits()).open(url)
    for name in ("usr_preferences", "dispatcher", "version"):
        await db.query(f"DROP TABLE IF EXISTS {name}")
    async for _ in create_tables(SqlStore(db), TABLES):
        pass
    await db.insert("dispatcher", *ROWS)
    await db.close()
    return await printed(MODULES[kind], f'modparam("sqlops", "db_url", "{url}")\n{parameters}', body, rest)


async def test_rows_become_values_of_avps_the_first_row_first(url):
    body = r"""
        sql_query("SELECT setid, destination, attrs FROM dispatcher ORDER BY setid", "$avp(s);$avp(d)");
        xlog("$rc $(avp(s)[*])|$avp(d)|$(avp(3)[*])\n");
    """
    assert await lines(url, body) == ["1 1, 2, 3|sip:one|<null>, x, y:z"]


async def test_the_code_tells_rows_from_none_and_from_failure(url):
    body = r"""
        sql_query("SELECT setid FROM dispatcher WHERE setid=99"); xlog("$rc\n");
        sql_query("UPDATE dispatcher SET attrs='new' WHERE setid=1"); xlog("$rc\n");
        sql_query("SELEC"); xlog("$rc\n");
        sql_query("SELECT attrs FROM dispatcher WHERE setid=1"); xlog("$rc $avp(1)\n");
        $var(id) = 7; sql_query("SELECT 1", , $var(id)); xlog("$rc\n");
    """
    assert await lines(url, body) == ["-2", "-2", "-1", "1 new", "-1"]


async def test_what_stands_in_quotes_is_a_value_whatever_it_holds(url):
    body = r"""
        $var(name) = "o'neil"; $var(n) = 2; $var(evil) = "' OR '1'='1"; $var(quote) = "\"\\";
        sql_query("SELECT setid FROM dispatcher WHERE destination='sip:$var(name)' AND setid='$var(n)'");
        xlog("$rc $avp(1)\n");
        sql_query("SELECT setid FROM dispatcher WHERE destination='$(var(name){s.escape.common})'"); xlog("$rc\n");
        sql_query("SELECT setid FROM dispatcher WHERE destination='sip:$(var(name){s.escape.common})'"); xlog("$rc\n");
        sql_query("SELECT setid FROM dispatcher WHERE destination='$var(evil)'"); xlog("$rc\n");
        sql_query("SELECT setid FROM dispatcher WHERE destination='sip:$var(quote)'", "$avp(q)"); xlog("$rc $avp(q)\n");
        sql_query("SELECT setid FROM dispatcher WHERE attrs='y:z' AND destination LIKE '%$var(quote)'"); xlog("$rc\n");
        sql_query("SELECT setid FROM dispatcher WHERE setid=$var(n)", "$avp(u)"); xlog("$rc $avp(u)\n");
    """
    answers = await lines(url, body)
    assert answers[:5] == ["1 2", "-2", "1", "-2", "1 3"]
    assert answers[6] == "1 2"


async def test_one_row_fills_variables_and_null_is_null(url):
    body = r"""
        $var(a) = "old";
        sql_query_one("SELECT setid, attrs FROM dispatcher ORDER BY setid", "$var(id);$var(a)");
        if ($var(a) == NULL) xlog("$rc $var(id) NULL\n");
        sql_query_one("SELECT setid, attrs FROM dispatcher", "$var(id)"); xlog("$rc\n");
        sql_query_one("SELECT setid FROM dispatcher WHERE setid=99", "$var(id)"); xlog("$rc\n");
    """
    assert await lines(url, body) == ["1 1 NULL", "-1", "-2"]


async def test_structured_queries_select_by_json(url):
    body = r"""
        sql_select('["destination"]', "dispatcher", '[{"setid": {">": 1}}, {"attrs": "x"}]', , "$avp(d)");
        xlog("$rc $avp(d)\n");
        sql_select('["setid"]', "dispatcher", '[{"attrs": {"!=": null}}]', "setid", "$avp(s)"); xlog("$(avp(s)[*])\n");
        sql_select('["setid"]', "dispatcher", '[{"attrs": null}]', , "$avp(n)"); xlog("$(avp(n)[*])\n");
        sql_select('["setid"]', "dispatcher", '[{"destination": {"LIKE": "sip:o%"}}]', "setid", "$avp(l)");
        xlog("$(avp(l)[*])\n");
        sql_select_one('["destination"]', "dispatcher", '[{"setid": "2"}]', , "$var(d)"); xlog("$rc $var(d)\n");
        sql_select('["setid"]', "dispatcher", '[{"setid": 99}]'); xlog("$rc\n");
        sql_select('["setid"]', "dispatcher", '{"setid": 99}'); xlog("$rc\n");
        sql_select('["nosuch"]', "dispatcher"); xlog("$rc\n");
        sql_select('["setid"]', "dispatcher", '[{"setid": {"SOUNDS": 1}}]'); xlog("$rc\n");
    """
    assert await lines(url, body) == ["1 sip:o'neil", "2, 3", "1", "1, 2", "1 sip:o'neil", "-2", "-1", "-1", "-1"]


async def test_structured_queries_change_tables(url):
    body = r"""
        $var(x) = "a'b";
        sql_insert("dispatcher", "[{\"setid\": 9}, {\"destination\": \"$var(x)\"}, {\"attrs\": null}]"); xlog("$rc\n");
        sql_update('[{"attrs": "set"}]', "dispatcher", '[{"setid": 9}]'); xlog("$rc\n");
        sql_delete("dispatcher", '[{"setid": {"<": 9}}]'); xlog("$rc\n");
        sql_select('["destination", "attrs", "id"]', "dispatcher", , , "$avp(d);$avp(a);$avp(id)");
        xlog("$(avp(d)[*]) $(avp(a)[*])\n");
        sql_replace("dispatcher", "[{\"id\": $avp(id)}, {\"attrs\": \"again\"}]"); xlog("$rc\n");
        sql_select_one('["attrs"]', "dispatcher", "[{\"id\": $avp(id)}]", , "$var(a)"); xlog("$var(a)\n");
        sql_insert("dispatcher", '[{"setid": "nine"}]'); xlog("$rc\n");
        sql_insert("dispatcher", '[]'); xlog("$rc\n");
    """
    assert await lines(url, body) == ["1", "1", "1", "a'b set", "1", "again", "-1", "-1"]


async def test_preferences_are_stored_loaded_and_deleted(url):
    body = r"""
        $avp(cf) = "sip:x"; $avp(cf) = "sip:y"; $avp(n) = 7;
        sql_avp_store("alice", "$avp(cf)"); xlog("$rc\n");
        sql_avp_store("alice", "$avp(cf)"); xlog("again $rc\n");
        $var(uri) = "sip:bob@x.org";
        sql_avp_store("$var(uri)/uri", "*"); xlog("$rc\n");
        sql_avp_load("alice", "$avp(cf)", , "p_"); xlog("$rc $(avp(p_cf)[*])\n");
        $avp(n) = NULL; $avp(cf) := NULL;
        sql_avp_load("$var(uri)/uri", "*/usr_preferences"); xlog("$rc $avp(n) $(avp(cf)[*])\n");
        $avp(name) = "cf"; sql_avp_load("alice", "$avp($avp(name))"); xlog("$rc\n");
        sql_avp_load("carol", "*"); xlog("$rc\n");
        sql_avp_load("$var(nothing)", "*"); xlog("$rc\n");
        sql_avp_load("no uri/username", "*"); xlog("$rc\n");
        sql_avp_delete("alice", "$avp(cf)"); xlog("$rc\n");
        sql_avp_load("alice", "*"); xlog("$rc\n");
    """
    answers = await lines(url, body)
    assert answers[:3] == ["1", "again -1", "1"]
    assert answers[3] in ("1 sip:y, sip:x", "1 sip:x, sip:y")
    # what is in the table for alice is not stored for bob as well
    assert answers[4:] == ["1 7 <null>", "1", "-1", "-1", "-1", "1", "-1"]


async def test_a_scheme_reads_other_tables(url):
    body = r"""
        sql_avp_load("sip:one", "$avp(set)/$destinations"); xlog("$rc $avp(set)\n");
        $var(n) = $avp(set) + 1; xlog("$var(n)\n");
    """
    scheme = 'modparam("sqlops", "db_scheme", "Destinations: table=dispatcher; uuid_col=destination; value_col=setid; '
    assert await lines(url, body, parameters=scheme + 'value_type=integer")') == ["1 1", "2"]


async def test_async_queries_fill_avps_in_the_resume_route(url):
    body = 'async(sql_query("SELECT attrs FROM dispatcher ORDER BY setid", "$avp(a)"), resumed);'
    rest = r'route[resumed] { xlog("$rc $(avp(a)[*])\n"); }'
    assert await lines(url, body, rest) == ["1 <null>, x, y:z"]
    body = 'async(sql_query_one("SELEC", "$var(a)"), resumed);'
    assert await lines(url, body, r'route[resumed] { xlog("$rc\n"); }') == ["-1"]


async def test_text_files_take_structured_queries_and_no_sql(tmp_path):
    (tmp_path / "things").write_text("id(int,auto) name(string) n(int,null)\n1:one:1\n2:two:\n")
    body = r"""
        sql_insert("things", '[{"name": "three"}, {"n": 3}]'); xlog("$rc\n");
        sql_select('["name"]', "things", '[{"n": {">": 0}}]', "id", "$avp(n)"); xlog("$rc $(avp(n)[*])\n");
        sql_query("SELECT * FROM things"); xlog("$rc\n");
    """
    parameters = f'db_default_url = "text://{tmp_path}"'
    assert await printed("db_text sqlops", parameters, body) == ["1", "1 one, three", "-1"]
    assert (tmp_path / "things").read_text().endswith("3:three:3\n")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('sql_query("SELECT 1", "$var(a)")', "expected AVPs"),
        ('sql_query("SELECT 1", "avp")', r"expected variables such as \$avp\(a\)"),
        ('sql_query("SELECT 1", "$avp(a) and $avp(b)")', "with ; between them"),
        ('sql_query("SELECT 1", , 3)', "no db_url has the number 3"),
        ('sql_avp_load("a/b", "*")', "with /uri"),
        ('sql_avp_load("a", "name")', r"expected \$avp\(name\)"),
        ('sql_avp_load("a", "$avp(x)/$nosuch")', "no db_scheme 'nosuch'"),
    ],
)
async def test_a_call_that_cannot_work_is_refused_before_the_script_runs(tmp_path, line, complaint):
    with pytest.raises(ScriptError, match=complaint):
        await printed("db_sqlite sqlops", f'modparam("sqlops", "db_url", "sqlite://{tmp_path}/x.db")', f"{line};")


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ("", "no db_url"),
        ('modparam("sqlops", "db_url", "oracle://x/y")', "no module is loaded for 'oracle:'"),
        ('modparam("sqlops", "db_url", "1 sqlite:///x")\nmodparam("sqlops", "db_url", "1 sqlite:///y")', "number 1"),
        ('db_default_url = "sqlite:///x"\nmodparam("sqlops", "db_scheme", "a:value_col=x")', "expected NAME:table"),
        ('db_default_url = "sqlite:///x"\nmodparam("sqlops", "db_scheme", "a:table=x;color=y")', "found 'color=y'"),
    ],
)
async def test_parameters_that_cannot_work_are_refused(parameters, complaint):
    with pytest.raises(ScriptError, match=complaint):
        await printed("db_sqlite sqlops", parameters, "exit;")
