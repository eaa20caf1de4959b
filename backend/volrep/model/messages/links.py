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
WORKER_METHOD = Message(1406, "the worker has no method {method}", "engine and worker differ in version; restart both",
                        Exit.FAILED)
OPEN_FAILED = Message(1407, "RVG {rvg} cannot be opened: {reason}", "the worker's log says more", Exit.FAILED)
NO_DESCRIPTOR = Message(1408, "{method} came without a connection", "engine and worker differ in version; restart both",
                        Exit.FAILED)
WORKER_UNCONFIGURED = Message(1409, "the worker has not been configured yet", "wait for the engine to do it",
                              Exit.REFUSED)
ROLE_STATE = Message(1410, "RVG {rvg} is {state}; {verb} needs {needed}",
                     "`volrep -l printrvg {rvg}` shows the roles of all hosts", Exit.REFUSED)
NOT_CONSISTENT = Message(1411, "RVG {rvg} on {host} is not consistent: a copy to it had begun and not ended",
                         "take another Secondary, or finish the copy from the Primary", Exit.REFUSED)
SALVAGED = Message(1417, "RVG {rvg} on {host} is what a damaged log has left: {what}",
                   "let its Primary send the rest again; when that one is lost for good: "
                   "`volrep -g {dg} -f takeover {rvg} {host}`", Exit.REFUSED)
NOT_THE_END = Message(1412, "the log of RVG {rvg} on {host} ends at LSN {end_lsn}, the old Primary's at {expect_lsn}",
                      "nothing was changed; let the old Primary have its role back", Exit.REFUSED)
EXPORTS_OPEN = Message(1413, "RVG {rvg} on {host} is in use: {connections} connections to its exports",
                       "unmount and disconnect first, or drain, which closes them", Exit.REFUSED)
NOT_ACKNOWLEDGED = Message(
    1414, "{remote_host} has acknowledged RVG {rvg} up to LSN {acked_lsn} of {end_lsn} ({reason})",
    "nothing was changed, the exports are open again; `volrep repstatus` shows the link", Exit.REFUSED)
NO_OTHER_REIGN = Message(1415, "RVG {rvg} on {host} is the only Primary that is known",
                         "migrate the role instead; or force it, when another host is Primary indeed", Exit.REFUSED)
CHANGING_ROLE = Message(1416, "RVG {rvg} on {host} is changing its role", "wait for that to end", Exit.REFUSED)
