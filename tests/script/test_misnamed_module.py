"""`mi_stream`: the name that the examples of the manual of mi_script use for it."""

from miscript.host.loading import Source, check_source
from miscript.script.diagnostics import Diagnostics


def checked(*lines):
    diagnostics = Diagnostics()
    text = "\n".join([*lines, "route { exit; }"])
    program = check_source(Source("test.cfg", text), diagnostics)
    return program, [(d.code, d.span.line) for d in diagnostics]


def test_parameters_set_by_the_manuals_name_are_those_of_mi_script():
    program, found = checked(
        'loadmodule "mi_script.so"',
        'modparam("mi_stream", "trace_destination", "hep_dest")',
        'modparam("mi_stream", "trace_bwlist", "b: ps, which")',
    )
    assert found == [("W609", 2), ("W609", 3)]
    assert [(name, item.name, item.value) for name, item in program.module_parameters] == [
        ("mi_script", "trace_destination", "hep_dest"),
        ("mi_script", "trace_bwlist", "b: ps, which"),
    ]


def test_no_other_parameter_and_no_module_that_is_not_loaded_is_meant():
    assert checked('loadmodule "mi_script.so"', 'modparam("mi_stream", "pretty_printing", 1)')[1] == [("E308", 2)]
    assert checked('modparam("mi_stream", "trace_destination", "hep_dest")')[1] == [("E308", 1)]
