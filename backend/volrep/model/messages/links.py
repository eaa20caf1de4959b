"""Messages: links."""

from volrep.model.errors import Exit, Message

LINK_STATE = Message(1400, "link {link} is {state}; {verb} needs {needed}",
                     "`volrep repstatus` shows the links and their states", Exit.REFUSED)
LINK_UNKNOWN = Message(1401, "RVG {rvg} has no link {link}", "`volrep -l printrvg {rvg}` shows its links",
                       Exit.REFUSED)
NOT_PRIMARY = Message(1402, "RVG {rvg} on {host} is a Secondary; {verb} acts on the Primary",
                      "name the Primary's host, or leave -H away", Exit.REFUSED)
RVG_NOT_RUNNING = Message(1403, "RVG {rvg} on {host} is not running: {reason}",
                          "`volrep engine status` and `volrep events` say more", Exit.REFUSED)
RVG_MISMATCH = Message(1404, "the worker runs RVG {running}, not {wanted}", "restart the engine", Exit.FAILED)
ROLE_CHANGE = Message(1405, "RVG {rvg} cannot change from {before} to {after} in place",
                      "role changes are not available in this version", Exit.REFUSED)
WORKER_METHOD = Message(1406, "the worker has no method {method}", "engine and worker differ in version; restart both",
                        Exit.FAILED)
OPEN_FAILED = Message(1407, "RVG {rvg} cannot be opened: {reason}", "the worker's log says more", Exit.FAILED)
NO_DESCRIPTOR = Message(1408, "{method} came without a connection", "engine and worker differ in version; restart both",
                        Exit.FAILED)
WORKER_UNCONFIGURED = Message(1409, "the worker has not been configured yet", "wait for the engine to do it",
                              Exit.REFUSED)
