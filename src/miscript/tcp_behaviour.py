"""How connections of TCP behave: what module `proto_tcp` tells the host, as `tcp behaviour`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TcpBehaviour:
    """`answers_pings`: CRLF CRLF gets its CRLF.  `pieces` is how many a message may come in, 0 for any number."""

    answers_pings: bool = True
    pieces: int = 0
