"""Messages: engine."""

from volrep.model.errors import Exit, Message

ENGINE_NOT_RUNNING = Message(1700, "no engine runs on state directory {state_dir}: {reason}",
                             "start it: `volrep engine run` (or `systemctl start volrep`)", Exit.UNREACHABLE)
ENGINE_RUNS_ALREADY = Message(1701, "an engine (pid {pid}) already runs on state directory {state_dir}",
                              "stop that one first, or give this one another --state", Exit.REFUSED)
ENGINE_NAME_DIFFERS = Message(1702, "the engine of {state_dir} is named {stored}, not {given}",
                              "leave --name away, or give this engine another --state", Exit.REFUSED)
PORT_IN_USE = Message(1703, "the replication port {listen}:{port} cannot be listened on: {reason}",
                      "`ss -ltnp` shows who has it; choose another with --port", Exit.FAILED)
STORE_DAMAGED = Message(1704, "the configuration {path} is damaged: {reason}",
                        "nothing was changed, workers go on; `volrep engine rebuild` puts it together again",
                        Exit.FAILED)
STORE_NEWER = Message(1705, "the configuration {path} has format version {found}; this version reads up to {known}",
                      "run the volrep version that wrote it, or a newer one", Exit.REFUSED)
STORE_FAILED = Message(1706, "the configuration {path} cannot be written: {reason}",
                       "nothing was changed; free space or check the disk, then run the command again", Exit.FAILED)
SOCKET_PATH_TOO_LONG = Message(1707, "the socket path {path} has {length} bytes, a unix socket takes {limit}",
                               "use a shorter state directory or shorter names", Exit.USAGE)
STATE_DIR_UNUSABLE = Message(1708, "the state directory {state_dir} cannot be used: {reason}",
                             "make it a directory that the engine's user can write, or name another with --state",
                             Exit.FAILED)

BAD_REQUEST = Message(1710, "the engine cannot read this request: {problem}",
                      "both ends should be the same version: `volrep engine status`", Exit.USAGE)
UNKNOWN_METHOD = Message(1711, "the engine has no method {method}",
                         "both ends should be the same version: `volrep engine status`", Exit.USAGE)
PROTOCOL_DIFFERS = Message(1712, "the engine speaks control protocol {ours}, the client {theirs}",
                           "install the same version on both hosts: `volrep host install`", Exit.REFUSED)
TOO_MANY_CLIENTS = Message(1713, "the engine serves {limit} clients already", "wait a moment and try again",
                           Exit.REFUSED)
ENGINE_CLOSED = Message(1714, "the engine ended the conversation: {reason}",
                        "run the command again: what was done already is found done", Exit.UNREACHABLE)
INTERNAL = Message(1715, "the engine met an error of its own in {method}: {problem}",
                   "its log has the details; please report them", Exit.FAILED)
ANSWER_TOO_LONG = Message(1716, "the answer to {method} has {length} bytes, at most {limit} can be sent",
                          "ask for less: name a disk group or an RVG", Exit.FAILED)

WORKER_ABSENT = Message(1720, "the worker of RVG {rvg} on {host} is not there: {reason}",
                        "the engine restarts it by itself; `volrep events` says more", Exit.REFUSED)
WORKER_START_FAILED = Message(1721, "the worker of RVG {rvg} on {host} does not start: {reason}",
                              "its log {log} says more", Exit.FAILED)
CONFIG_TOO_LARGE = Message(1722, "the configuration of RVG {rvg} has {length} bytes, a worker takes {limit}",
                           "use fewer volumes or links in one RVG", Exit.REFUSED)
RVG_NOT_STARTED = Message(1723, "RVG {rvg} on {host} cannot be started: {reason}",
                          "put that right and run the command again; `volrep events` says more", Exit.FAILED)
WORKER_LOST = Message(1724, "the worker of RVG {rvg} on {host} went away before it had answered: {reason}",
                      "the engine restarts it by itself; run the command again: what was done already is found done",
                      Exit.FAILED)

RVG_UNKNOWN = Message(1730, "disk group {dg} has no RVG {rvg} on {host}", "`volrep printrvg` lists the RVGs",
                      Exit.REFUSED)
RVG_EXISTS = Message(1731, "disk group {dg} has an RVG {rvg} on {host} already",
                     "choose another name, or delete that one first", Exit.REFUSED)
VOLUME_UNKNOWN = Message(1732, "disk group {dg} has no volume {volume} on {host}",
                         "`volrep -g {dg} volume list` shows what is there", Exit.REFUSED)
VOLUME_DIFFERS = Message(1733, "volume {volume} of disk group {dg} exists on {host} with other values: {found}",
                         "choose another name, or destroy that volume first", Exit.REFUSED)
VOLUME_IN_RVG = Message(1734, "volume {volume} of disk group {dg} on {host} belongs to RVG {rvg} ({use})",
                        "name a volume that is free: `volrep -g {dg} volume list`", Exit.REFUSED)
VOLUME_TWICE = Message(1735, "volume {volume} is named twice", "name every volume, and the SRL, once", Exit.USAGE)
NO_VOLUMES = Message(1736, "an RVG needs at least one data volume", "name its data volumes, separated by commas",
                     Exit.USAGE)
TOO_MANY_VOLUMES = Message(1737, "an RVG holds at most {limit} data volumes, not {count}",
                           "make several RVGs of them", Exit.USAGE)
VOLUME_CHANGED_SIZE = Message(1738, "volume {volume} has {found_bytes} bytes now, and had {wanted_bytes}",
                              "destroy the volume and add it again", Exit.REFUSED)
PATH_IS_VOLUME = Message(1739, "{path} is volume {volume} of disk group {dg} already", "name another file or device",
                         Exit.REFUSED)
LINKS_EXIST = Message(1740, "RVG {rvg} has {count} links", "remove its Secondaries first: `volrep delsec`",
                      Exit.REFUSED)
TOO_MANY_LINKS = Message(1741, "RVG {rvg} has {limit} links already, the most an RVG takes",
                         "remove a Secondary first: `volrep delsec`", Exit.REFUSED)
LINK_NAME_TAKEN = Message(1742, "RVG {rvg} has a link {name} to {remote_host} already",
                          "`volrep -l printrvg {rvg}` shows its links", Exit.REFUSED)

EXPORTS_IN_USE = Message(1750, "the exports of {volume} have {connections} connections",
                         "end the applications that use them, or force it with -f", Exit.REFUSED)
NOT_IN_RVG = Message(1751, "volume {volume} of disk group {dg} is not a data volume of an RVG on {host}",
                     "only data volumes of an RVG are exported: `volrep -g {dg} createpri`", Exit.REFUSED)
SECONDARY_NOT_EXPORTED = Message(1752, "volume {volume} belongs to RVG {rvg}, which is a Secondary on {host}",
                                 "Secondary volumes are not exported; export it on the Primary", Exit.REFUSED)
NOT_EXPORTED = Message(1753, "volume {volume} of disk group {dg} is not exported on {host}",
                       "`volrep -g {dg} export {volume}` first", Exit.REFUSED)
TOO_MANY_EXPORTS = Message(1754, "volume {volume} has {limit} exports already", "withdraw them: `volrep unexport`",
                           Exit.REFUSED)
LISTEN_TAKEN = Message(1755, "{listen} serves volume {volume} already", "choose another address or port", Exit.REFUSED)

ATTACH_NO_WAY = Message(1760, "this host has nothing to make a block device of {volume} with: {reason}",
                        "install qemu-utils (qemu-storage-daemon) or nbd-client; or use NBD directly: {uri}",
                        Exit.REFUSED)
DETACH_FAILED = Message(1761, "{device} of volume {volume} cannot be taken away: {reason}",
                        "run the command again: what is gone already is left out", Exit.FAILED)
ATTACHED_ELSEWHERE = Message(1762, "volume {volume} is attached as {device} already{where}",
                             "detach it first: `volrep -g {dg} detach {volume}`", Exit.REFUSED)
DEVICE_BUSY = Message(1763, "{device} of volume {volume} is in use: {by}",
                      "unmount it and end what uses it, then detach again", Exit.REFUSED)
NO_FILE_SYSTEM = Message(1764, "volume {volume} cannot be mounted on {mount}: {reason}",
                         "make a file system first: attach without mount=, then `mkfs.ext4 DEVICE`", Exit.FAILED)
BAD_MOUNT_POINT = Message(1765, "{mount} cannot be mounted on: {reason}", "name an existing, empty directory",
                          Exit.USAGE)
STILL_ATTACHED = Message(1766, "volume {volume} is attached as {device}",
                         "detach it first: `volrep -g {dg} detach {volume}`", Exit.REFUSED)
STILL_FAILED = Message(1770, "RVG {rvg} on {host} is still in FAIL: {reason}", "{next}", Exit.FAILED)
NO_PLACE = Message(1771, "volume {volume} was not made by volrep, so nothing is made in its place ({path})",
                   "name the file or device that takes its place, as large as the volume", Exit.USAGE)
STILL_THERE = Message(1772, "{path} of volume {volume} is still there",
                      "move it away first, or name another file or device; to use it as it is: `volrep recover`",
                      Exit.REFUSED)
PLACE_SIZE = Message(1773, "{path} has {found_bytes} bytes, volume {volume} has {wanted_bytes}",
                     "name a file or device of exactly that size", Exit.USAGE)
STOPPED_AMID = Message(1774, "RVG {rvg} on {host} was to stop cleanly, and its worker ended before: its SRL may hold "
                       "writes that are not yet safe on the volumes",
                       "nothing was changed and it recovers by itself; run the same command again when `repstatus` "
                       "shows it ENABLED", Exit.REFUSED)
NO_COPY = Message(1780, "there is no intact copy of the configuration: {problem}",
                  "leave it out: `volrep engine rebuild from=parts` builds from workers and SRL headers", Exit.REFUSED)
NOT_TAKEN = Message(1781, "RVG {rvg} cannot be taken into the configuration: {reason}",
                    "run `volrep --dry-run engine rebuild` again: it shows what is there now", Exit.REFUSED)
NOTHING_LOST = Message(1782, "the configuration of {host} is whole ({what}); nothing is rebuilt over it",
                       "only an engine that is damaged, or has nothing configured, takes what is found", Exit.REFUSED)
NOTHING_FOUND = Message(1783, "nothing was found to rebuild the configuration of {host} from",
                        "say where its SRLs are: `volrep -H {host} engine rebuild search=DIRECTORY,DEVICE`",
                        Exit.REFUSED)

HOOK_FAILED = Message(1790, "hook {event} of {host} failed for RVG {rvg}: {problem}; its last words: {said}",
                      "correct it and run the command again; {log} on {host} has all of its output", Exit.REFUSED)
