"""SIP transactions without sockets and clocks: tables of states, one transaction, and what finds it.

Source: RFC 3261 section 17, RFC 6026.
"""

from .machine import Timers, Transaction, client, event_of_status, server
from .matching import Key, answered_key, cancelled_key, client_key, server_key
from .table import Do, Event, State, Timer

__all__ = [
    "Do",
    "Event",
    "Key",
    "State",
    "Timer",
    "Timers",
    "Transaction",
    "answered_key",
    "cancelled_key",
    "client",
    "client_key",
    "event_of_status",
    "server",
    "server_key",
]
