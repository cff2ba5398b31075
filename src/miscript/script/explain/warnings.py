"""W6xx: scripts that can run, but perhaps not as meant."""

from __future__ import annotations

from .explanation import explanation

WARNINGS = {
    "W601": explanation(
        "module that miscript does not have yet",
        """
        OpenSIPS 4.1 has this module, miscript has not. Names and numbers of arguments are still checked against
        what OpenSIPS exports, but values that only the module itself can judge are not. Such a script cannot be run
        unless the module is stubbed with `--stub MODULE`.
        """,
        r"""
        loadmodule "osp.so"

        route {
            exit;
        }
        """,
        r"""
        route {
            exit;
        }
        """,
    ),
    "W602": explanation(
        "comment that is never closed",
        """
        The file ends inside a comment, so everything behind its `/*` was left out. Comments of this form nest: each
        `/*` inside needs a `*/` of its own.
        """,
        r"""
        route {
            exit;
        }
        /* what follows is not used
        """,
        r"""
        route {
            exit;
        }
        /* what follows is not used */
        """,
    ),
    "W603": explanation(
        "never reached or never used",
        """
        Nothing can lead to this place: it stands behind a statement that leaves the route, or it is a route that
        nothing calls. Either it can go, or a condition in front of it is missing.
        """,
        r"""
        route {
            exit;
            xlog("never printed\n");
        }
        """,
        r"""
        route {
            xlog("printed\n");
            exit;
        }
        """,
    ),
    "W604": explanation(
        "unknown log level",
        """
        The first of two arguments of `xlog` is a level: L_ALERT, L_CRIT, L_ERR, L_WARN, L_NOTICE, L_INFO or L_DBG.
        OpenSIPS looks at one letter of it only, so that a slip of the pen is not refused but may print at another
        level than meant.
        """,
        r"""
        route {
            xlog("L_INFORMATION", "a call from $fu\n");
        }
        """,
        r"""
        route {
            xlog("L_INFO", "a call from $fu\n");
        }
        """,
    ),
    "W606": explanation(
        "comparison that can never be true",
        """
        A text is never a number, even if it looks like one: to compare them is an error when the script runs, and
        an `if` takes its `else`. Compare with a text, or turn the text into a number with `{s.int}`.
        """,
        r"""
        route {
            if ($(rU{s.substr,0,3}) == 100)
                xlog("an inner number\n");
        }
        """,
        r"""
        route {
            if ($(rU{s.substr,0,3}) == "100")
                xlog("an inner number\n");
        }
        """,
    ),
    "W607": explanation(
        "operators of the same precedence",
        """
        `+ - * / %` share one level of precedence, `& | ^ << >>` share the next one, and `and` shares its level with
        `or`: each level is worked off from left to right. Thus `2 + 3 * 4` is 20, where most languages say 14.
        Parentheses make the meaning plain, whichever is meant.
        """,
        r"""
        route {
            $var(total) = 2 + 3 * 4;
        }
        """,
        r"""
        route {
            $var(total) = 2 + (3 * 4);
        }
        """,
    ),
    "W608": explanation(
        "rest of an argument ignored",
        """
        An argument of a transformation that is a variable, a text in quotes or a single character ends with it;
        what stands between it and the next comma or brace has no effect. To put something together, do it in an
        assignment before.
        """,
        r"""
        route {
            xlog("$(rU{s.substr,0,$var(n)5})\n");
        }
        """,
        r"""
        route {
            xlog("$(rU{s.substr,0,$var(n)})\n");
        }
        """,
    ),
    "W609": explanation(
        "module by another name",
        """
        The examples of the manual of `mi_script` set its parameters with `modparam("mi_stream", …)`. There is no
        such module, and OpenSIPS refuses to start with such a line. It is taken as it is meant, for `mi_script`;
        write that name to be understood by both.
        """,
        r"""
        loadmodule "mi_script.so"
        modparam("mi_stream", "trace_bwlist", "b: ps, which")

        route {
            exit;
        }
        """,
        r"""
        loadmodule "mi_script.so"
        modparam("mi_script", "trace_bwlist", "b: ps, which")

        route {
            exit;
        }
        """,
    ),
    "W610": explanation(
        "transformation outside of the brackets",
        """
        A variable with a transformation has one pair of brackets around both: `$(var(a){s.len})`. Behind a variable
        without these brackets the braces are ordinary text, and inside the name's own brackets they belong to the
        name.
        """,
        r"""
        route {
            xlog("$rU{s.len} digits\n");
        }
        """,
        r"""
        route {
            xlog("$(rU{s.len}) digits\n");
        }
        """,
    ),
    "W611": explanation(
        "MI command that cannot work",
        """
        The command written out in `mi()` is not known to the core nor to a module that is loaded, or no form of it
        has that many parameters. Such a call gives -1 or -32602 each time. `which` lists the commands, and
        `which NAME` the forms of one.
        """,
        r"""
        loadmodule "mi_script.so"
        loadmodule "cachedb_local.so"

        route {
            mi("cache_fetsh local greeting", $var(r));
        }
        """,
        r"""
        loadmodule "mi_script.so"
        loadmodule "cachedb_local.so"

        route {
            mi("cache_fetch local greeting", $var(r));
        }
        """,
    ),
    "W612": explanation(
        "assignment where a comparison is usual",
        """
        A single `=` assigns. As a condition it is true when the assignment succeeded, whatever the value is, which
        is nearly always: the `else` is never taken, and the variable has another value afterwards. A loop that is
        meant so, or an assignment that may fail, is written with `:=`, or as a statement of its own.
        """,
        r"""
        route {
            if ($rU = "100")
                xlog("a call for the switchboard\n");
        }
        """,
        r"""
        route {
            if ($rU == "100")
                xlog("a call for the switchboard\n");
        }
        """,
    ),
    "W613": explanation(
        "letter behind a backslash in a pattern",
        """
        Patterns are POSIX extended regular expressions, with `\\w`, `\\s`, `\\b` and their opposites from GNU.
        There is no `\\d`: comparisons take no account of case, and a small letter behind a backslash then matches
        nothing at all. A digit is `[0-9]`.
        """,
        r"""
        route {
            if ($rU =~ "^\d+$")
                xlog("a number\n");
        }
        """,
        r"""
        route {
            if ($rU =~ "^[0-9]+$")
                xlog("a number\n");
        }
        """,
    ),
}
