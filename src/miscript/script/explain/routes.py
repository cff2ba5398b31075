"""E5xx: routes, what may stand in them, and what they are called with."""

from __future__ import annotations

from .explanation import explanation

ROUTES = {
    "E501": explanation(
        "route defined twice",
        """
        Two routes of the same kind have the same name. Names are case sensitive, and the same name may be used once
        in each kind (`route[a]` and `failure_route[a]`). An included file may define a route that is already there.
        """,
        r"""
        route {
            route(check);
        }

        route[check] {
            xlog("first\n");
        }

        route[check] {
            xlog("second\n");
        }
        """,
        r"""
        route {
            route(check);
        }

        route[check] {
            xlog("first\n");
            xlog("second\n");
        }
        """,
    ),
    "E502": explanation(
        "function not allowed in this kind of route",
        """
        Every function says in which kinds of route it can work: one that reads or changes a SIP message has nothing
        to work on in a timer route. A `route[name]` counts as a request route, and also as the kind of every block
        that calls it.
        """,
        r"""
        loadmodule "sipmsgops.so"

        route {
            exit;
        }

        startup_route {
            if (has_totag())
                xlog("in a dialog\n");
        }
        """,
        r"""
        loadmodule "sipmsgops.so"

        route {
            if (has_totag())
                xlog("in a dialog\n");
        }
        """,
    ),
    "E503": explanation(
        "reserved route name",
        """
        The words yes, true, on, enable, no, false, off and disable are the numbers 1 and 0 everywhere, and the
        route with the number 0 is the unnamed main route. Keywords of the language cannot be names either, unless
        they are in quotes.
        """,
        r"""
        route {
            exit;
        }

        route[no] {
            xlog("no\n");
        }
        """,
        r"""
        route {
            exit;
        }

        route[no_answer] {
            xlog("no\n");
        }
        """,
    ),
    "E506": explanation(
        "too many route arguments",
        """
        A route can be called with at most 8 arguments, which it reads as `$param(1)` to `$param(8)`. Put more
        values into an `$avp`, which every route of the same run can read.
        """,
        r"""
        route {
            route(sum, 1, 2, 3, 4, 5, 6, 7, 8, 9);
        }

        route[sum] {
            xlog("$param(9)\n");
        }
        """,
        r"""
        route {
            $avp(numbers) = 9;
            route(sum, 1, 2, 3, 4, 5, 6, 7, 8);
        }

        route[sum] {
            xlog("$avp(numbers)\n");
        }
        """,
    ),
    "E507": explanation(
        "undefined resume route",
        """
        The second argument of `async()` and `launch()` names the route that goes on when the function has finished,
        and the script does not define it. A resume route is a plain `route[name]`. OpenSIPS finds out only when the
        statement is run.
        """,
        r"""
        loadmodule "mi_script.so"

        route {
            async(mi("uptime", $var(answer)), answered);
        }
        """,
        r"""
        loadmodule "mi_script.so"

        route {
            async(mi("uptime", $var(answer)), answered);
        }

        route[answered] {
            xlog("$var(answer)\n");
        }
        """,
    ),
}
