"""E4xx: arguments, operands and values that do not fit."""

from __future__ import annotations

from .explanation import explanation

ARGUMENTS = {
    "E401": explanation(
        "too many arguments",
        """
        The function takes fewer arguments than it was given. A comma inside a text does not count, one outside of
        quotes does. Unlike in other languages, a list for a function is usually one text.
        """,
        r"""
        loadmodule "cfgutils.so"

        route {
            usleep(500, 1000);
        }
        """,
        r"""
        loadmodule "cfgutils.so"

        route {
            usleep(500);
        }
        """,
    ),
    "E402": explanation(
        "too few arguments",
        """
        The function needs more arguments than it was given. Only arguments at the end may be left out, and only
        those that are optional. The message names the first one that is missing.
        """,
        r"""
        loadmodule "mathops.so"

        route {
            math_eval("1 + 2");
        }
        """,
        r"""
        loadmodule "mathops.so"

        route {
            math_eval("1 + 2", $var(sum));
        }
        """,
    ),
    "E403": explanation(
        "wrong kind of argument",
        """
        Each parameter of a function takes one kind of argument: a number or a variable, a text or a variable, or a
        variable only. A text is never taken as a number, even if it looks like one, nor a number as a text. NULL is
        no argument of a function at all.
        """,
        r"""
        loadmodule "cfgutils.so"

        route {
            usleep("500");
        }
        """,
        r"""
        loadmodule "cfgutils.so"

        route {
            usleep(500);
        }
        """,
    ),
    "E404": explanation(
        "mandatory argument left out",
        """
        Nothing stands in front of a comma, which leaves the argument out. That is possible for optional arguments
        only, and this one is mandatory.
        """,
        r"""
        loadmodule "mathops.so"

        route {
            math_eval(, $var(sum));
        }
        """,
        r"""
        loadmodule "mathops.so"

        route {
            math_eval("1 + 2", $var(sum));
        }
        """,
    ),
    "E405": explanation(
        "value must be constant",
        """
        This argument is settled once, when the script is loaded, so that no variable can stand here, neither alone
        nor inside a text. Names of flags are the most frequent case.
        """,
        r"""
        route {
            setflag($var(flag));
        }
        """,
        r"""
        route {
            setflag("ACCOUNTED");
        }
        """,
    ),
    "E406": explanation(
        "variable cannot be written",
        """
        The variable only tells something, it cannot be changed: neither by an assignment, nor by a function that
        stores its result, nor as the iterator of a `for`. Put the value into a `$var` or an `$avp`.
        """,
        r"""
        route {
            $pp = 5;
        }
        """,
        r"""
        route {
            $var(process) = $pp;
        }
        """,
    ),
    "E407": explanation(
        "bad regular expression",
        """
        The text is no POSIX extended regular expression; the message says why. There is no `/expression/flags`
        form, slashes are ordinary characters. In double quotes a backslash in front of `n`, `r`, `t`, `a`, `x`, a
        digit or another backslash is an escape of the text; in single quotes nothing is.
        """,
        r"""
        route {
            if ($ru =~ "sip:(alice|bob@")
                xlog("one of us\n");
        }
        """,
        r"""
        route {
            if ($ru =~ "sip:(alice|bob)@")
                xlog("one of us\n");
        }
        """,
    ),
    "E408": explanation(
        "module parameter of another kind",
        """
        A module parameter takes a number, a text, or either of them, and this one does not take what it was given.
        Yes, true, on and enable are the number 1 and no, false, off and disable are 0, as long as they are not in
        quotes.
        """,
        r"""
        loadmodule "mi_script.so"
        modparam("mi_script", "pretty_printing", "yes")

        route {
            exit;
        }
        """,
        r"""
        loadmodule "mi_script.so"
        modparam("mi_script", "pretty_printing", yes)

        route {
            exit;
        }
        """,
    ),
    "E409": explanation(
        "global parameter of another kind",
        """
        A parameter of the core takes a number or a text, and this one takes the other of the two. Numbers stand
        without quotes, texts with them.
        """,
        r"""
        log_level = "3"

        route {
            exit;
        }
        """,
        r"""
        log_level = 3

        route {
            exit;
        }
        """,
    ),
    "E410": explanation(
        "bad value",
        """
        The kind of the value is right, but what is to use it cannot do anything with it; the message
        says why. Only constants can be looked at when the script is loaded. The same mistake in a variable makes
        the call fail when it is made. `miscript run` also says so of what cannot be opened when the script starts: a
        socket whose port is taken, a database that is away or lacks a table.
        """,
        r"""
        route {
            exit;
        }

        timer_route[tick, 0] {
            xlog("tick\n");
        }
        """,
        r"""
        route {
            exit;
        }

        timer_route[tick, 10] {
            xlog("tick\n");
        }
        """,
    ),
    "E411": explanation(
        "bad arguments of a transformation",
        """
        The transformation was given too few or too many arguments, or one that cannot be what is needed, such as a
        word in place of a number. Arguments follow the name, each behind a comma, without quotes. Everything
        between two commas belongs to the argument.
        """,
        r"""
        route {
            xlog("area code $(rU{s.substr,0})\n");
        }
        """,
        r"""
        route {
            xlog("area code $(rU{s.substr,0,3})\n");
        }
        """,
    ),
    "E412": explanation(
        "bad iterator or list of a for",
        """
        `for` walks through all values of a variable: the list has the index `[*]`, as in `$(avp(list)[*])`, and the
        iterator is a `$var`, an `$avp` or a `$json`.
        """,
        r"""
        route {
            for ($ru in $(avp(targets)[*]))
                xlog("$ru\n");
        }
        """,
        r"""
        route {
            for ($var(target) in $(avp(targets)[*]))
                xlog("$var(target)\n");
        }
        """,
    ),
    "E413": explanation(
        "function not usable inside async() or launch()",
        """
        Only functions that wait for something (a command, a database, a timer) have an asynchronous form that
        `async()` and `launch()` can start. All others are done at once, call them directly.
        """,
        r"""
        loadmodule "mathops.so"

        route {
            async(math_eval("1 + 2", $var(sum)), done);
        }

        route[done] {
            xlog("$var(sum)\n");
        }
        """,
        r"""
        loadmodule "mathops.so"

        route {
            math_eval("1 + 2", $var(sum));
            route(done);
        }

        route[done] {
            xlog("$var(sum)\n");
        }
        """,
    ),
}
