"""NBD for the volumes of one RVG: the protocol without I/O, and the connections and listeners that carry it.

`wire` has the numbers of the specification, `handshake` and `transmission` turn bytes into outcomes, requests and
replies, `connection` and `listener` do the I/O on the worker's reactor. What a write *means* is not known here:
requests go to a `Service` (`volrep.nbd.connection`), which the RVG provides.
"""
