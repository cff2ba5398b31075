"""The module proto_tcp."""

from __future__ import annotations

import pytest

from miscript.errors import MIError
from miscript.modules.proto_tcp import ProtoTcp
from module_services import module_services


def test_tracing_is_shown_and_switched() -> None:
    module = ProtoTcp(module_services())
    assert module.mi_trace() == {"TCP tracing": "off"}
    assert module.mi_trace("On") == "OK"
    assert module.mi_trace() == {"TCP tracing": "on"}
    assert module.mi_trace("off") == "OK"
    assert module.mi_trace() == {"TCP tracing": "off"}
    with pytest.raises(MIError) as refused:
        module.mi_trace("1")
    assert (refused.value.code, refused.value.data) == (-32602, "trace_mode should be 'on' or 'off'")
