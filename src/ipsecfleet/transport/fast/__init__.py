"""The fast path: paramiko's protocol engine driven by one event loop, without its threads.

    pool      which connection serves a visit, who waits for it, how many handshakes at a time
    line      one connection: its socket, its phases, their deadlines
    session   login, channels and commands over an engine (RFC 4252, RFC 4254)
    engine    packets and key exchange, as paramiko does them, over two buffers (RFC 4253)
    loop      sockets, moments and calls of other threads, on one thread

Engine and session do no I/O: bytes in, bytes and events out.

Where the time of a visit goes is the round trip, and the small packets that Nagle and delayed acknowledgements hold
back. So TCP_NODELAY and TCP_QUICKACK; and to an OpenSSH server the login and the channel's opening go in one flight
with our NEWKEYS (RFC 4252, 5.1 provides for it), as the command goes with its input and its end. To any other server
nothing is sent before what it answers: some lose it.
"""
