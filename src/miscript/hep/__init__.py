"""HEP, the Homer Encapsulation Protocol: packets that carry traced messages to a collector.

Pure: bytes to packets and back, no sockets.  Start with `packet.Packet` and `codec.encode` / `codec.decode`.
"""
