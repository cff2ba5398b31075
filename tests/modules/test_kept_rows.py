"""Dialogs and contacts as rows: what is written is read again, and nothing else does harm."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.database import Cell, DatabaseError
from miscript.modules.dialog.rows import NAMES, Kept, RowFormat, pairs_of, pairs_text
from miscript.modules.usrloc import rows as location_rows
from miscript.sip.dialogs import Dialog, DialogId, DialogState, Leg
from miscript.sip.location import Contact, Record
from miscript.values import decode

texts = st.binary(max_size=20).map(decode)
plain = st.text("abc#|\\:,;<>@1 ", max_size=12)
cells = st.none() | st.integers(-(2**70), 2**70) | st.floats() | st.just(float("inf")) | plain | st.binary(max_size=30)
pairs = st.lists(st.tuples(texts, texts | st.integers(-(2**31), 2**31 - 1)), max_size=5)

DIALOGS = RowFormat({name: name for name in NAMES}, lambda text: None)
CONTACTS = location_rows.RowFormat({name: name for name in location_rows.NAMES}, True, lambda text: None)


@given(pairs)
def test_pairs_are_read_as_they_were_written(written: list[tuple[str, str | int]]):
    assert pairs_of(pairs_text(written)) == written


@given(st.lists(st.sampled_from([b"#", b"|", b"\\", b"1", b"2", b"a", b"\n"])).map(b"".join) | st.binary())
def test_any_bytes_are_pairs_or_refused(data: bytes):
    try:
        found = pairs_of(data)
    except ValueError:
        return
    assert pairs_of(pairs_text(found)) == found


def answered() -> Dialog:
    """A dialog whose row is in order."""
    caller, callee = Leg("al", "sip:a@10.0.0.1"), Leg("bo", "sip:b@10.0.0.2")
    dialog = Dialog(DialogId(7, 9), "c", "sip:a@x", "sip:b@x", caller, 100.0, 60, DialogState.CONFIRMED, [callee])
    dialog.answered, dialog.started, dialog.ends = 0, 100.0, 160.0
    return dialog


@given(st.sampled_from(NAMES), cells)
def test_a_row_with_any_cell_is_a_dialog_or_refused(name: str, cell: Cell):
    row = DIALOGS.row(answered(), Kept()) | {name: cell}
    try:
        DIALOGS.dialog([row[name] for name in NAMES])
    except DatabaseError:
        pass


@given(
    st.dictionaries(texts, texts | st.integers(-(2**31), 2**31 - 1), max_size=4),
    st.dictionaries(st.text("abc", min_size=1), texts, max_size=2),
    st.integers(0, 2**31 - 2),
    st.integers(0, 50),
)
def test_a_dialog_is_read_as_it_was_written(values: dict[str, str | int], parts: dict[str, str], cseq: int, shift: int):
    values = {name: value for name, value in values.items() if not name.startswith("miscript:")}
    shift = min(shift, 2**31 - 1 - cseq)
    caller = Leg("al", "sip:a@10.0.0.1", ("<sip:r1;lr>", "<sip:r2;lr>"), cseq=cseq, shift=shift)
    callee = Leg("bo", "sip:b@10.0.0.2", cseq=cseq)
    dialog = Dialog(DialogId(7, 9), "c", "sip:a@x", "sip:b@x", caller, 100.0, 60, DialogState.CONFIRMED, [callee])
    dialog.answered, dialog.started, dialog.ends, dialog.values = 0, 100.0, 160.0, dict(values)
    dialog.flags = dict.fromkeys(["one", "two"])
    kept = Kept(8, {"hangup": "over"}, dict(parts))
    row = DIALOGS.row(dialog, kept)
    read, told = DIALOGS.dialog([row[name] for name in NAMES])
    assert (read.id, read.caller, read.callee, list(read.values.items()), list(read.flags)) == (
        dialog.id,
        caller,
        callee,
        list(values.items()),
        ["one", "two"],
    )
    assert (read.state, read.started, read.ends, read.lifetime, told) == (DialogState.CONFIRMED, 100.0, 160.0, 60, kept)


@given(st.sampled_from(location_rows.NAMES), cells)
def test_a_row_with_any_cell_is_a_contact_or_refused(name: str, cell: Cell):
    contact = Contact(uri="sip:a@10.0.0.1", expires=100, call_id="c", id=5)
    row = CONTACTS.row(Record("a@x.test", [contact]), contact) | {name: cell}
    try:
        CONTACTS.contact([row[name] for name in location_rows.NAMES])
    except DatabaseError:
        pass


@given(st.dictionaries(texts, texts, max_size=4), st.integers(0, 1000) | st.just(-1), st.integers(0, 0xFFFF_FFFF))
def test_a_contact_is_read_as_it_was_written(keys: dict[str, str], q: int, methods: int):
    contact = Contact(uri="sip:a@10.0.0.1", expires=100, q=q, call_id="c", methods=methods, id=5, modified=7.0)
    row = CONTACTS.row(Record("a@b@x.test", [contact], keys), contact)
    assert CONTACTS.contact([row[name] for name in location_rows.NAMES]) == ("a@b@x.test", contact, keys)


@pytest.mark.parametrize("text", ["x", "[]", "1", '{"_urec_kvs":"x"}', '{"_urec_kvs":[1]}', "[" * 100_000])
def test_what_was_kept_with_an_aor_may_be_nonsense(text: str):
    assert location_rows.keys_of("contact 1", text) == {}
