"""E1xx: text that cannot be read."""

from __future__ import annotations

from .explanation import explanation

_NESTED = "$avp(" * 40 + "name" + ")" * 40

SYNTAX = {
    "E100": explanation(
        "script cannot be read",
        """
        The file that was to be checked or run does not exist, may not be read, is a folder, or is larger than a
        script can be. The message has the reason that the system gave.
        """,
        "miscript check opensips.cgf",
        "miscript check opensips.cfg",
    ),
    "E101": explanation(
        "character that means nothing",
        """
        This character has no meaning outside of quotes and comments. Quotes that a word processor or a web page has
        rounded, and blanks that are not the plain one, come in with text that was copied; they look almost like the
        right ones.
        """,
        r"""
        route {
            xlog(“a call from $fu”);
        }
        """,
        r"""
        route {
            xlog("a call from $fu");
        }
        """,
    ),
    "E102": explanation(
        "text that is not closed",
        """
        A text begins with a quote and its closing quote is missing, or is a backslash and a quote, which stands for
        the quote itself. Texts may go over several lines, so that the end of the file is where this is noticed; the
        message points to the beginning.
        """,
        r"""
        route {
            xlog("a call from $fu\n);
        }
        """,
        r"""
        route {
            xlog("a call from $fu\n");
        }
        """,
    ),
    "E103": explanation(
        "bad number",
        """
        Numbers are whole: decimal, hexadecimal behind `0x`, or octal behind a leading 0, so that 09 is none. They
        have 32 bits and a sign; larger ones wrap round. A number with a fraction is written as a text and computed
        with the functions of module mathops.
        """,
        r"""
        route {
            $var(load) = 1.5;
        }
        """,
        r"""
        route {
            $var(load) = "1.5";
        }
        """,
    ),
    "E104": explanation(
        "badly written variable",
        """
        A variable is `$name` or `$name(inner)`; with an index or with transformations, parentheses go around all of
        it: `$(name(inner)[index]{class.name})`. Here a parenthesis is not closed, the name is missing, or something
        else stands inside.
        """,
        r"""
        route {
            $var(length) = $(fU{s.len};
        }
        """,
        r"""
        route {
            $var(length) = $(fU{s.len});
        }
        """,
    ),
    "E105": explanation(
        "include file cannot be read",
        """
        `include_file` and `import_file` put another file in their place; its name stands in quotes. It is looked
        for beside the file that includes it and in the working folder. Both statements fail when it is missing.
        """,
        r"""
        include_file "there-is-no-such-file.cfg"

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
    "E106": explanation(
        "no comment of this kind",
        """
        Comments begin with `#` and end with the line, or stand between `/*` and `*/`. There is no `//` comment, and
        a `*/` needs a `/*` in front of it. Comments of the second kind nest.
        """,
        r"""
        route {
            exit;   // nothing to do
        }
        """,
        r"""
        route {
            exit;   # nothing to do
        }
        """,
    ),
    "E107": explanation(
        "file that includes itself",
        """
        The file is included while it is being read already, by itself or by a file that it includes. To share
        something between two files, put it into a third one that includes neither.
        """,
        r"""
        # this is opensips.cfg
        include_file "opensips.cfg"

        route {
            exit;
        }
        """,
        r"""
        # this is opensips.cfg
        route {
            exit;
        }
        """,
    ),
    "E108": explanation(
        "too much is included",
        """
        The script and what it includes are larger than miscript reads, or files include one another too deeply or
        too many times. The message names the limit. No script that was written by hand comes near to them.
        """,
        r"""
        # opensips.cfg includes 1.cfg, which includes 2.cfg, and so on up to 30.cfg
        include_file "1.cfg"
        """,
        r"""
        # opensips.cfg includes all of them itself
        include_file "1.cfg"
        include_file "2.cfg"
        """,
    ),
    "E109": explanation(
        "preprocessor failed",
        """
        The command given with `-p` gets the script on its standard input and must print what is to be read in its
        place, end with status 0, and be done in time. The message has the first line that it complained with.
        """,
        "miscript check -p 'm4 -P --no-such-option' opensips.cfg",
        "miscript check -p 'm4 -P' opensips.cfg",
    ),
    "E110": explanation(
        "bad address or network",
        """
        Outside of quotes, numbers with dots or colons are an IPv4 or IPv6 address, or a network behind which a
        slash and the length of its mask stand. They can only be compared with, by `==` and `!=`.
        """,
        r"""
        route {
            if ($si == 192.168.0.300)
                xlog("a neighbour\n");
        }
        """,
        r"""
        route {
            if ($si == 192.168.0.30)
                xlog("a neighbour\n");
        }
        """,
    ),
    "E111": explanation(
        "badly written transformation",
        """
        A transformation is `{class.name}` or `{class.name,argument,...}`, with its closing brace and without blanks
        in front of the class. It stands inside of the parentheses of its variable, and several follow one another.
        """,
        r"""
        route {
            $var(length) = $(fU{len});
        }
        """,
        r"""
        route {
            $var(length) = $(fU{s.len});
        }
        """,
    ),
    "E112": explanation(
        "badly written index",
        """
        An index stands in square brackets and is a number (from 0, or from -1 at the other end), a variable, `*`
        for all values, or `append` to add one at the end.
        """,
        r"""
        route {
            xlog("$(avp(list)[first])\n");
        }
        """,
        r"""
        route {
            xlog("$(avp(list)[0])\n");
        }
        """,
    ),
    "E114": explanation(
        "variables nested too deeply",
        """
        A variable may have a variable in its name, and that one again, but not without end. Give the inner part a
        name of its own with an assignment in front.
        """,
        f"""
        route {{
            $var(x) = {_NESTED};
        }}
        """,
        r"""
        route {
            $var(inner) = $avp(name);
            $var(x) = $avp($var(inner));
        }
        """,
    ),
}
