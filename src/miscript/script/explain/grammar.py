"""E2xx: statements, routes and parameters in a form that the language does not know."""

from __future__ import annotations

from .explanation import explanation

GRAMMAR = {
    "E201": explanation(
        "something else was expected",
        """
        What stands here does not fit behind what stands in front of it; the message says what would. The mistake is
        often a little earlier: a missing operator, quote, comma or parenthesis.
        """,
        r"""
        route {
            $var(a) = ;
        }
        """,
        r"""
        route {
            $var(a) = 1;
        }
        """,
    ),
    "E202": explanation(
        "missing semicolon",
        """
        Every statement ends with `;`, also the last one of a block. Blocks in braces have none behind them.
        """,
        r"""
        route {
            $var(a) = 1
            $var(b) = 2;
        }
        """,
        r"""
        route {
            $var(a) = 1;
            $var(b) = 2;
        }
        """,
    ),
    "E203": explanation(
        "bracket that is not closed",
        """
        A parenthesis, bracket or brace was opened and something stands here that cannot come before it is closed.
        The note shows where it was opened.
        """,
        r"""
        route {
            if ($var(a) == 1 {
                exit;
            }
        }
        """,
        r"""
        route {
            if ($var(a) == 1) {
                exit;
            }
        }
        """,
    ),
    "E204": explanation(
        "outside of every route",
        """
        Outside of routes stand only parameters (`name = value`), `loadmodule`, `modparam` and the routes
        themselves. Statements need a route around them; what is to be done once at the start belongs into
        `startup_route`. A brace that was closed too early has the same effect.
        """,
        r"""
        $var(count) = 0;

        route {
            exit;
        }
        """,
        r"""
        startup_route {
            $var(count) = 0;
        }

        route {
            exit;
        }
        """,
    ),
    "E206": explanation(
        "else without if",
        """
        An `else` follows the one statement or the block of an `if`, with nothing in between: a `;` behind the
        closing brace is a statement of its own. `else if` is two words.
        """,
        r"""
        route {
            if ($rm == "INVITE") {
                xlog("a call\n");
            };
            else
                xlog("something else\n");
        }
        """,
        r"""
        route {
            if ($rm == "INVITE") {
                xlog("a call\n");
            } else
                xlog("something else\n");
        }
        """,
    ),
    "E207": explanation(
        "break outside of a loop or switch",
        """
        `break` leaves the innermost `while`, `for` or `switch` around it, and there is none in this route. A route
        that is called from inside a loop cannot leave that loop. Use `return` to leave a route, `exit` to end the
        script.
        """,
        r"""
        route {
            if ($var(tries) > 3)
                break;
        }
        """,
        r"""
        route {
            if ($var(tries) > 3)
                return;
        }
        """,
    ),
    "E208": explanation(
        "empty route",
        """
        A route needs at least one statement. If it is to do nothing, say so: `exit` ends the script, `return` goes
        back to the caller. (Empty braces behind `if` or `else` are fine.)
        """,
        r"""
        route {
        }
        """,
        r"""
        route {
            exit;
        }
        """,
    ),
    "E214": explanation(
        "bad switch",
        """
        A `switch` looks at one variable. Each `case` has a number or a text and a colon, at least one comes first,
        and `default` comes last. Nothing else stands in its braces but cases, and a `case` stands nowhere else.
        """,
        r"""
        route {
            switch ($rm) {
            case INVITE:
                xlog("a call\n");
            }
        }
        """,
        r"""
        route {
            switch ($rm) {
            case "INVITE":
                xlog("a call\n");
            }
        }
        """,
    ),
    "E215": explanation(
        "bad head of a for",
        """
        There is one form of `for` only, `for (iterator in list)`: both are variables, and the list has the index
        `[*]`. To count, use `while`.
        """,
        r"""
        route {
            for ($var(i) = 0; $var(i) < 3; $var(i) += 1)
                xlog("$var(i)\n");
        }
        """,
        r"""
        route {
            $var(i) = 0;
            while ($var(i) < 3) {
                xlog("$var(i)\n");
                $var(i) += 1;
            }
        }
        """,
    ),
    "E216": explanation(
        "bad route name",
        """
        The name of a route is a word of letters, digits and `_`, a number, or any text in quotes. Words of the
        language (`if`, `default`, `error` ...) can be names in quotes only.
        """,
        r"""
        route {
            route(to-carrier);
        }

        route[to-carrier] {
            xlog("to the carrier\n");
        }
        """,
        r"""
        route {
            route("to-carrier");
        }

        route["to-carrier"] {
            xlog("to the carrier\n");
        }
        """,
    ),
    "E218": explanation(
        "bad value of a parameter",
        """
        The value of a parameter is a number, one of the words yes and no (or true, on, enable, false, off,
        disable), or a text in quotes; variables and expressions are known in routes only. Addresses (`socket`,
        `alias` and the like) stand without quotes, with a port from 1 to 65535.
        """,
        r"""
        loadmodule "cfgutils.so"
        modparam("cfgutils", "initial_probability", fifty)

        route {
            exit;
        }
        """,
        r"""
        loadmodule "cfgutils.so"
        modparam("cfgutils", "initial_probability", 50)

        route {
            exit;
        }
        """,
    ),
    "E219": explanation(
        "statement too large or nested too deeply",
        """
        Brackets and blocks can be nested and operators strung together, but not without end; the message names the
        limit. Split the statement up with a variable, or the block with a route of its own.
        """,
        f"""
        route {{
            $var(x) =
                {"(" * 60}
                {"(" * 60}
                1
                {")" * 60}
                {")" * 60};
        }}
        """,
        r"""
        route {
            $var(x) = 1;
        }
        """,
    ),
    "E220": explanation(
        "bad return, exit or drop",
        """
        `return` takes a number or a variable as return code, and in parentheses more values behind it, which the
        caller reads as `$return(0)` and so on. `exit` and `drop` take nothing.
        """,
        r"""
        route {
            route(greet);
            xlog("$return(0)\n");
        }

        route[greet] {
            return("hello");
        }
        """,
        r"""
        route {
            route(greet);
            xlog("$return(0)\n");
        }

        route[greet] {
            return(1, "hello");
        }
        """,
    ),
    "E223": explanation(
        "closing bracket without an opening one",
        """
        Nothing is open that this bracket could close. Either it is one too many, or another one before it was
        closed too early.
        """,
        r"""
        route {
            xlog("a call from $fu\n"));
        }
        """,
        r"""
        route {
            xlog("a call from $fu\n");
        }
        """,
    ),
}
