"""Module tls_wolfssl: a script may load it; `tls_mgm` works with the OpenSSL that comes with Python.

Source: OpenSIPS manual, module tls_wolfssl.
"""

from __future__ import annotations

from ..exports import Module, parameter

__all__ = ["TlsWolfssl"]


class TlsWolfssl(Module):
    """Accepted for scripts that load it; the library is OpenSSL."""

    name = "tls_wolfssl"

    try_use_ktls = parameter(0, "Without meaning here: bytes are encrypted in this program.")
