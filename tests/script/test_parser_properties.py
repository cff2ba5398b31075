"""Properties of the parser for any text: it answers, its places exist, it answers the same again."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from miscript.script.diagnostics import Diagnostics
from miscript.script.lexer import lex
from miscript.script.parser import parse_text
from miscript.script.preprocess import load_text
from miscript.script.show import tree_text
from miscript.script.source import SourceFile, Span
from miscript.script.tokens import Kind
from miscript.script.variables import parse_template

PIECES = r"""
route [ ] { } ( ) ; , : . = := += == != =~ !~ === => < > + - * / % & | ^ ~ ! << && || and or not in
if else elseif while for switch case default break return exit drop assert async launch log error xlog xdbg NULL
yes no 0x10 08 1.5 5 -1 10.0.0.1 10.0.0.1/8 2001:db8::1 "a" 'b' "x$var(y)\n" "$(s{s.len})" " ' # // /* */ hello f(
$var(a) $(avp(x)[0]{s.len}) $avp($var(n)) $( $var( $ $(x{re.subst,/a,}/b/}) $(a[*]) mem-group alias=a log_level=1
socket=udp:1.2.3.4:5060 loadmodule modparam( include_file dst_blacklist=a:{ auto_scaling_profile=P scale up to on
timer_route[a,1] failure_route startup_route{ route[b]{ “ ` \ é {s.select,0,,} {s.len} $$
""".split()

words = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=40)
scripts = st.builds(
    lambda words, glue, head: head + glue.join(words),
    words,
    st.sampled_from(["", " ", "\n"]),
    st.sampled_from(["", "route {", "route { if (", "route { $var(x) = "]),
) | st.text(max_size=60)


def exists(span: Span) -> bool:
    """Whether a stretch lies within its file."""
    lines = span.file.lines
    return (
        1 <= span.line <= span.end_line <= len(lines)
        and 1 <= span.column <= len(lines[span.line - 1]) + 1
        and 1 <= span.end_column <= len(lines[span.end_line - 1]) + 1
        and (span.line, span.column) <= (span.end_line, span.end_column)
    )


def spans(tree: object) -> list[Span]:
    """All the stretches in a tree."""
    found: list[Span] = []
    waiting = [tree]
    while waiting:
        item = waiting.pop()
        if isinstance(item, Span):
            found.append(item)
        elif isinstance(item, tuple):
            waiting += item
        elif dataclasses.is_dataclass(item):
            waiting += [getattr(item, field.name) for field in dataclasses.fields(item)]
    return found


@given(scripts)
def test_any_text_gives_a_tree_or_mistakes_in_it_and_always_the_same(text: str) -> None:
    first, second = Diagnostics(), Diagnostics()
    script = parse_text(text, "test", first)
    assert tree_text(parse_text(text, "test", second)) == tree_text(script)
    assert list(second) == list(first)
    assert all(exists(span) for span in spans(script))
    for mistake in first:
        assert mistake.message
        assert exists(mistake.span)
        assert all(exists(note.span) for note in mistake.notes if note.span is not None)


@given(scripts)
def test_tokens_stand_in_the_text_in_their_order(text: str) -> None:
    file = SourceFile("test", text)
    at = 0
    for token in load_text("test", text.replace("include_file", ""), Diagnostics()):
        assert at <= token.start <= token.end
        at = token.end
    for token in lex(file, Diagnostics()) if text.isascii() else ():
        assert text[token.start : token.end] == token.text or token.kind is Kind.END


@given(scripts)
def test_any_text_is_a_template_or_has_mistakes(text: str) -> None:
    diagnostics = Diagnostics()
    template = parse_template(text, None, diagnostics)
    assert all(exists(span) for span in spans(template.pieces))
    assert all(exists(mistake.span) for mistake in diagnostics)
    if not diagnostics.failed:
        written = "".join(p.replace("$", "$$") if isinstance(p, str) else p.text for p in template.pieces)
        assert written == text
    assert "" not in template.pieces
