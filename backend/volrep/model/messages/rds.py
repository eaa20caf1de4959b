"""Messages: rds."""

from volrep.model.errors import Exit, Message

RVG_UNKNOWN = Message(1300, "no host has an RVG {rvg}{where}", "`volrep printrvg` lists all RVGs; closest: {closest}",
                      Exit.USAGE)
RVG_AMBIGUOUS = Message(1301, "there is an RVG {rvg} in disk groups {dgs}", "name the disk group with -g", Exit.USAGE)
NO_PRIMARY = Message(1302, "RVG {rvg} has no Primary on a host that answers{silent}",
                     "`volrep host check` shows which hosts do not answer", Exit.REFUSED)
TWO_PRIMARIES = Message(1303, "RVG {rvg} of disk group {dg} has a Primary on each of {hosts}",
                        "name one with -H; two data sets of one name cannot be worked with otherwise", Exit.REFUSED)
SECONDARY_UNKNOWN = Message(1304, "host {host} is not a Secondary of RVG {rvg}", "Secondaries: {known}", Exit.USAGE)
SECONDARY_UNNAMED = Message(1305, "RVG {rvg} has {count} Secondaries: {known}", "name the one you mean", Exit.USAGE)
NO_SECONDARY = Message(1306, "RVG {rvg} has no Secondary", "add one: `volrep -g {dg} addsec {rvg} {primary} HOST`",
                       Exit.REFUSED)
VOLUME_MISSING = Message(1310, "host {host} has no volume {volume} in disk group {dg}",
                         "create it, as large as on the other hosts: "
                         "`volrep -g {dg} -H {host} volume create {volume} {size}`",
                         Exit.REFUSED)
SIZE_DIFFERS = Message(1311, "volume {volume} has {size_bytes} bytes on {host} and {other_bytes} on {other}",
                       "both sides need the same size: make it anew on {host} with {other_bytes} bytes", Exit.REFUSED)
VOLUME_TAKEN = Message(1312, "volume {volume} of disk group {dg} on {host} belongs to RVG {rvg} already ({use})",
                       "name a volume that is free: `volrep -g {dg} -H {host} volume list`", Exit.REFUSED)
RVG_THERE = Message(1313, "host {host} has an RVG {rvg} in disk group {dg} already: {found}",
                    "choose another name, or remove that one first", Exit.REFUSED)
SAME_HOST = Message(1314, "{host} cannot be both Primary and Secondary of RVG {rvg}", "name two different hosts",
                    Exit.USAGE)
OTHER_PRIMARY = Message(1315, "the Primary of RVG {rvg} is on {found}, not on {host}", "name {found} as Primary",
                        Exit.USAGE)
VOLUMES_UNNAMED = Message(1316, "{value!r} names no volumes", "write them comma-separated: dv01,dv02", Exit.USAGE)
RVG_DOWN = Message(1317, "RVG {rvg} on {host} is not running: {reason}",
                   "`volrep -H {host} events` says more; the engine restarts it by itself", Exit.REFUSED)
ORPHAN = Message(1318, "host {host} has a Secondary RVG {rvg} of another data set in disk group {dg}, whose Primary is "
                       "not on {primary}",
                 "if nobody needs its data: `volrep -g {dg} -H {host} -s -f delsec {rvg} {host}`, then run this again",
                 Exit.REFUSED)
LINK_UNSTOPPED = Message(1320, "replication of RVG {rvg} to {host} is not stopped: the link is {state}",
                         "stop it first: `volrep -g {dg} stoprep {rvg} {host}`", Exit.REFUSED)
SECONDARIES_LEFT = Message(1321, "RVG {rvg} still has Secondaries: {known}",
                           "remove them first: `volrep -g {dg} delsec {rvg} HOST`", Exit.REFUSED)
LINK_MISSING = Message(1322, "RVG {rvg} has only one end of the link between {primary} and {host}",
                       "finish it: `volrep -g {dg} addsec {rvg} {primary} {host}`", Exit.REFUSED)
NOT_A_MEMBER = Message(1323, "volume {volume} of disk group {dg} is in no Primary RVG of a host that answers",
                       "`volrep -g {dg} volume list` shows where it is; -H names the host", Exit.USAGE)
ON_SEVERAL = Message(1324, "volume {volume} of disk group {dg} is on {hosts}", "name the host with -H", Exit.USAGE)
UNDONE_IN_PART = Message(1330, "{step} failed: {problem}; undone: {undone}; not undone: {left}",
                         "correct the cause, then run the same command again: it does only what is missing",
                         Exit.PARTIAL)
WAIT_LEFT = Message(1331, "left before {host} was consistent; the synchronization goes on",
                    "`volrep -g {dg} repstatus {rvg}` shows how far it is", Exit.FAILED)
WAIT_STOPPED = Message(1332, "replication of RVG {rvg} to {host} is {state}: {reason}",
                       "`volrep -g {dg} repstatus {rvg}` says more", Exit.FAILED)
NOTHING_TO_GIVE_UP = Message(
    1350, "RVG {rvg}: nothing is damaged that could be given up",
    "`volrep -g {dg} repstatus {rvg}` says what is damaged and how to go on", Exit.REFUSED)
SEVERAL_DAMAGED = Message(1351, "RVG {rvg} is damaged on {hosts}",
                          "decide for one host after the other: name it with -H", Exit.USAGE)
WHICH_HOST = Message(1352, "RVG {rvg} is on {hosts}", "name the host with -H", Exit.USAGE)
DONE_WITH_PROBLEMS = Message(1333, "done, but not everything went well: {problems}",
                             "correct it, then run the same command again: it does only what is missing", Exit.PARTIAL)
STANDS = Message(1334, "{step} failed: {problem}; done and not taken back: {done}",
                 "there is no way back from here, only forward: correct the cause, then run the same command again: it "
                 "does only what is missing", Exit.PARTIAL)
NOT_READY = Message(1360, "{verb} of RVG {rvg} to {host} is not possible: {reasons}", "{remedy}", Exit.REFUSED)
PRIMARY_LIVES = Message(1361, "RVG {rvg} would have two Primaries: {says}", "{remedy}", Exit.REFUSED)
TAKES_SALVAGE = Message(1369, "takeover of RVG {rvg} by {host} would go on with what a damaged log has left: {says}",
                        "{remedy}", Exit.REFUSED)
NOT_ACTING = Message(1362, "host {host} is no acting Secondary of RVG {rvg}: {found}",
                     "`volrep -g {dg} repstatus {rvg}` shows which host is what", Exit.REFUSED)
NONE_ACTING = Message(1363, "no host that answers is an acting Secondary of RVG {rvg}{silent}",
                      "a host that was the Primary becomes one by itself when it returns: "
                      "`volrep -g {dg} repstatus {rvg}`", Exit.REFUSED)
PRIMARY_PRIMARY = Message(1364, "RVG {rvg} is in Primary-Primary configuration: {hosts}",
                          "nothing is overwritten; choose the survivor: `volrep -g {dg} elect {rvg} HOST`",
                          Exit.REFUSED)
DRILL_NOT_YET = Message(1366, "a fire drill on {host} needs a snapshot of its volumes, which this version cannot make",
                        "`volrep -g {dg} validate {rvg}` and `--dry-run takeover {rvg} {host}` show what can be known "
                        "without one", Exit.REFUSED)
LACKS_WRITES = Message(1367, "no host is Primary of RVG {rvg} now, and {host} lacks {bytes} bytes of what {former} "
                             "wrote last", "name a host that has them: {known}", Exit.REFUSED)
NOT_A_PRIMARY = Message(1368, "{host} is not the Primary of RVG {rvg}: {found}",
                        "name the host that is to stay Primary: `volrep -g {dg} repstatus {rvg}`", Exit.REFUSED)
DEMO_STEP = Message(1340, "the demo failed: {reason}", "what it started was ended again; {kept}", Exit.FAILED)
DEMO_DIFFERS = Message(1341, "the demo found a difference: {what}", "{kept}", Exit.FAILED)
