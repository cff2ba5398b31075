"""E2xx: values, conditions and arguments in a form that the language does not know."""

from __future__ import annotations

from .explanation import explanation

EXPRESSIONS = {
    "E205": explanation(
        "bare word",
        """
        A word alone has no value. Texts stand in quotes, variables begin with `$`, and a function is called with
        parentheses, even if there is nothing between them.
        """,
        r"""
        route {
            $var(state) = started;
        }
        """,
        r"""
        route {
            $var(state) = "started";
        }
        """,
    ),
    "E209": explanation(
        "no condition",
        """
        A condition is made of comparisons, calls, variables and assignments. Arithmetic must stand in square
        brackets, `[ $var(a) - 1 ]`, which is true when the result is not 0, and such brackets cannot be compared:
        assign the result to a variable before.
        """,
        r"""
        route {
            if ($var(a) + 1 == 2)
                xlog("one\n");
        }
        """,
        r"""
        route {
            $var(sum) = $var(a) + 1;
            if ($var(sum) == 2)
                xlog("one\n");
        }
        """,
    ),
    "E210": explanation(
        "left side of a comparison must be a variable",
        """
        A comparison has a variable on its left and a variable or a constant on its right. Swap the two sides, or
        put the value of a call or an expression into a variable before. The value of a call is in `$rc` right
        behind it.
        """,
        r"""
        route {
            if (100 == $var(number))
                xlog("one hundred\n");
        }
        """,
        r"""
        route {
            if ($var(number) == 100)
                xlog("one hundred\n");
        }
        """,
    ),
    "E211": explanation(
        "second assignment in one statement",
        """
        An assignment has no value that could be assigned again: there is one `=` in each. Where a comparison is
        meant, write `==`.
        """,
        r"""
        route {
            $var(a) = $var(b) = 1;
        }
        """,
        r"""
        route {
            $var(b) = 1;
            $var(a) = $var(b);
        }
        """,
    ),
    "E212": explanation(
        "sign in front of something other than a number",
        """
        Only numbers have a sign. To change the sign of a variable, take it away from 0.
        """,
        r"""
        route {
            $var(back) = -$var(forth);
        }
        """,
        r"""
        route {
            $var(back) = 0 - $var(forth);
        }
        """,
    ),
    "E213": explanation(
        "no such operator",
        """
        The operators of comparisons are `== != < <= > >= =~ !~`, each written without a blank inside. The first two
        compare numbers and texts alike, the last two match a regular expression.
        """,
        r"""
        route {
            if ($rm <> "INVITE")
                exit;
            xlog("a call\n");
        }
        """,
        r"""
        route {
            if ($rm != "INVITE")
                exit;
            xlog("a call\n");
        }
        """,
    ),
    "E217": explanation(
        "bad argument",
        """
        An argument is a number, a text or a variable. Expressions and calls cannot stand in place of one: put their
        value into a variable before.
        """,
        r"""
        route {
            route(next, $var(hop) + 1);
        }

        route[next] {
            xlog("hop $param(1)\n");
        }
        """,
        r"""
        route {
            $var(next) = $var(hop) + 1;
            route(next, $var(next));
        }

        route[next] {
            xlog("hop $param(1)\n");
        }
        """,
    ),
    "E221": explanation(
        "texts side by side",
        """
        Texts that follow one another are joined in `xlog`, `xdbg` and `modparam` only. In an assignment `+` joins
        them, elsewhere write one text.
        """,
        r"""
        route {
            $var(greeting) = "good " "morning";
        }
        """,
        r"""
        route {
            $var(greeting) = "good " + "morning";
        }
        """,
    ),
    "E225": explanation(
        "index or transformation in the wrong place",
        """
        A variable with an index or a transformation is written with parentheses around all of it. An index can be
        assigned to, a transformation cannot: it only changes what is read.
        """,
        r"""
        route {
            xlog("first: $(avp(list)[0])\n");
            $var(first) = $avp(list)[0];
        }
        """,
        r"""
        route {
            xlog("first: $(avp(list)[0])\n");
            $var(first) = $(avp(list)[0]);
        }
        """,
    ),
    "E226": explanation(
        "bad right side of a comparison",
        """
        On the right of a comparison stands a variable, a number or a text; behind `==` and `!=` also NULL, an
        address or a network; behind `=~` and `!~` a regular expression in quotes or a variable. Calls and
        expressions are put into a variable before.
        """,
        r"""
        route {
            if ($rm == INVITE)
                xlog("a call\n");
        }
        """,
        r"""
        route {
            if ($rm == "INVITE")
                xlog("a call\n");
        }
        """,
    ),
}
