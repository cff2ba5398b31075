"""Module tls_openssl: chooses OpenSSL for `tls_mgm`, which takes it in any case.

Source: OpenSIPS manual, module tls_openssl.
"""

from __future__ import annotations

from ..exports import Module

__all__ = ["TlsOpenssl"]


class TlsOpenssl(Module):
    """OpenSSL for tls_mgm; it comes with Python."""

    name = "tls_openssl"
