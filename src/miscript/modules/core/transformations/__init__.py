"""The transformations of the core: what may stand in braces behind a variable, `$(var(x){s.len})`.

`TRANSFORMATIONS` holds them all, but for `{s.eval}`, which needs the run, and `RESOLVERS`, which have to be
waited for.  The files beside this one are sorted by class; importing them fills the table.
"""

from . import encoding, ip, lists, regex, sip, text
from .ip import RESOLVERS
from .table import TRANSFORMATIONS

__all__ = ["RESOLVERS", "TRANSFORMATIONS", "encoding", "ip", "lists", "regex", "sip", "text"]
