"""E3xx: names that nobody knows, or that belong to something that is not loaded."""

from __future__ import annotations

from .explanation import explanation

NAMES = {
    "E301": explanation(
        "unknown function",
        """
        Neither the core nor any OpenSIPS module has a function of this name. Most often it is a slip of the pen.
        Names of functions are case sensitive.
        """,
        r"""
        route {
            xlgo("a call from $fu\n");
        }
        """,
        r"""
        route {
            xlog("a call from $fu\n");
        }
        """,
    ),
    "E302": explanation(
        "function of a module that is not loaded",
        """
        The function exists, in a module that the script does not load. Load the module with `loadmodule` in front
        of the first route. When several modules have a function of this name, the message names one
        that miscript has.
        """,
        r"""
        route {
            mi("uptime", $var(answer));
        }
        """,
        r"""
        loadmodule "mi_script.so"

        route {
            mi("uptime", $var(answer));
        }
        """,
    ),
    "E303": explanation(
        "unknown variable",
        """
        No variable of this name exists in the core or in a module. Values of your own need no declaration, they
        live in `$var(name)` (this worker), `$avp(name)` (this message or transaction) or, with module cfgutils,
        `$shv(name)` (all workers). Variables are found inside texts, too: write `$$` there for a plain dollar sign.
        """,
        r"""
        route {
            $caller = $fu;
            xlog("a call from $caller\n");
        }
        """,
        r"""
        route {
            $var(caller) = $fu;
            xlog("a call from $var(caller)\n");
        }
        """,
    ),
    "E304": explanation(
        "unknown transformation",
        """
        A transformation is written `{class.name}` behind a variable, and this class has no transformation of this
        name, or there is no such class. The classes are s, uri, via, param, nameaddr, ip, csv, sdp and re. The case
        of class and name does not count.
        """,
        r"""
        route {
            xlog("the name has $(fU{s.length}) bytes\n");
        }
        """,
        r"""
        route {
            xlog("the name has $(fU{s.len}) bytes\n");
        }
        """,
    ),
    "E305": explanation(
        "unknown module",
        """
        Neither miscript nor OpenSIPS 4.1 has a module of this name, and no installed package brings one. The name
        is the last part of the path in `loadmodule`, without `.so`.
        """,
        r"""
        loadmodule "mi_scripts.so"

        route {
            exit;
        }
        """,
        r"""
        loadmodule "mi_script.so"

        route {
            exit;
        }
        """,
    ),
    "E306": explanation(
        "unknown global parameter",
        """
        The core has no parameter of this name. Parameters of modules are set with `modparam`, and values of
        variables inside a route; only parameters of the core stand alone on a line outside of all routes.
        """,
        r"""
        log_levels = 3

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
    "E307": explanation(
        "unknown module parameter",
        """
        The module is loaded, but has no parameter of this name. When the first text of `modparam` matches several
        modules, every one of them must have the parameter.
        """,
        r"""
        loadmodule "mi_script.so"
        modparam("mi_script", "pretty_print", 1)

        route {
            exit;
        }
        """,
        r"""
        loadmodule "mi_script.so"
        modparam("mi_script", "pretty_printing", 1)

        route {
            exit;
        }
        """,
    ),
    "E308": explanation(
        "modparam of a module that is not loaded",
        """
        A parameter can only be set after its module was loaded, so `loadmodule` must come first. The first text of
        `modparam` is a regular expression over the names of the loaded modules; none of them matches here.
        """,
        r"""
        modparam("mi_script", "pretty_printing", 1)

        route {
            exit;
        }
        """,
        r"""
        loadmodule "mi_script.so"
        modparam("mi_script", "pretty_printing", 1)

        route {
            exit;
        }
        """,
    ),
    "E309": explanation(
        "not available in miscript yet",
        """
        OpenSIPS 4.1 has this name and the script is right, but miscript cannot do it yet. `miscript check` is
        content with such a script and warns; `miscript run` refuses it rather than leave something out. For a test,
        `--stub MODULE` lets the functions of a module do nothing and succeed.
        """,
        r"""
        loadmodule "osp.so"

        route {
            checkospheader();
        }
        """,
        r"""
        route {
            exit;
        }
        """,
    ),
    "E310": explanation(
        "undefined route",
        """
        The script calls a route that it does not define. Names of routes are case sensitive, and `route(name)`
        finds only blocks that begin with `route[name]`, not those of another kind such as `failure_route[name]`.
        The same goes for functions that take the name of a route: `t_on_failure("name")` wants a
        `failure_route[name]`, `t_on_reply` an `onreply_route`, `t_on_branch` a `branch_route`.
        """,
        r"""
        route {
            route(relay);
        }
        """,
        r"""
        route {
            route(relay);
        }

        route[relay] {
            xlog("relaying to $ru\n");
        }
        """,
    ),
    "E311": explanation(
        "removed from OpenSIPS",
        """
        An older version of OpenSIPS had this name, 4.1 has not. The message says what to use in its place, where
        there is something.
        """,
        r"""
        children = 4

        route {
            exit;
        }
        """,
        r"""
        udp_workers = 4

        route {
            exit;
        }
        """,
    ),
    "E312": explanation(
        "variable or event of a module that is not loaded",
        """
        The variable exists, or the event is published, in a module that the script does not load. Load the module
        with `loadmodule` in front of the first route. Events that the script raises itself with `raise_event` need
        no module.
        """,
        r"""
        route {
            $json(call) := "{}";
        }
        """,
        r"""
        loadmodule "json.so"

        route {
            $json(call) := "{}";
        }
        """,
    ),
    "E313": explanation(
        "module loaded twice",
        """
        Each module is loaded once. OpenSIPS refuses to start when a script, or a file that it includes, loads one
        again; only protocols that are built in (`proto_udp`, `proto_tcp`) may be named several times.
        """,
        r"""
        loadmodule "json.so"
        loadmodule "json.so"

        route {
            exit;
        }
        """,
        r"""
        loadmodule "json.so"

        route {
            exit;
        }
        """,
    ),
}
