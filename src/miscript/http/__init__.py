"""HTTP/1.1 for a server, as bytes in and bytes out: no sockets, no event loop.

- `head`: the head of a request, checked strictly;
- `reader`: a connection's bytes ⇄ requests, with limits;
- `response`: answers as bytes.

Source: RFC 9110, RFC 9112.
"""
