"""Messages: access."""

from volrep.model.errors import Exit, Message

LISTEN_BAD = Message(1600, "{listen!r} is not an address to listen on",
                     "write unix:PATH or tcp:ADDRESS:PORT, for example tcp:127.0.0.1:10809", Exit.USAGE)
LISTEN_BEYOND_LOOPBACK = Message(
    1601, "{address} is not a loopback address, and beyond loopback only with TLS",
    "listen on 127.0.0.1, ::1 or a unix socket, and let clients on other hosts come through `ssh -L`", Exit.REFUSED)
LISTEN_PORT_IN_USE = Message(1602, "port {port} of {address} is in use by another process",
                             "name a free port, or find its owner with `ss -ltnp sport = :{port}`", Exit.REFUSED)
LISTEN_SOCKET_IN_USE = Message(1603, "{path} is in use: a process answers there",
                               "name another path, or find its owner with `ss -lxp src {path}`", Exit.REFUSED)
LISTEN_NOT_A_SOCKET = Message(1604, "{path} exists and is not a socket; it was left alone",
                              "name another path", Exit.REFUSED)
LISTEN_PATH_LONG = Message(1605, "{path} is {length} bytes long; a socket path has at most {limit}",
                           "name a shorter path", Exit.USAGE)
LISTEN_FAILED = Message(1606, "cannot listen on {listen}: {reason}",
                        "check that the directory or address exists and may be used", Exit.FAILED)
