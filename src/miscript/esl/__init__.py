"""The event socket of FreeSWITCH, without I/O: bytes in, objects out, bytes out.

- `framing`: what arrives on a connection, cut into messages (a block of headers, and a body when it has a length).
- `session`: the client's side of one connection: being asked for a password, being accepted, replies, events, the end.
- `commands`: the bytes of the client's commands.
- `event`: an event in JSON or plain form, and which subscriptions it belongs to.
- `address`: `fs://user:password@host:port?EVENT,EVENT`.

Sources: FreeSWITCH documentation, "mod_event_socket" and "Event Socket Library"; "Event List".
"""

from .address import EventSocketAddress as EventSocketAddress
from .errors import EslError as EslError
from .event import Event as Event
from .event import Subscription as Subscription
from .event import read_event as read_event
from .event import subscriptions as subscriptions
from .framing import Message as Message
from .framing import MessageReader as MessageReader
from .session import Accepted as Accepted
from .session import AuthRequest as AuthRequest
from .session import Denied as Denied
from .session import Farewell as Farewell
from .session import Reply as Reply
from .session import Session as Session
