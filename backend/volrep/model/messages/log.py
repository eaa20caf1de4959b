"""Messages: log."""

from volrep.model.errors import Exit, Message

SRL_TOO_SMALL = Message(
    1500, "SRL {name} has {size_bytes} bytes, the minimum is {minimum_bytes}",
    "header slots {header_bytes} bytes plus room for {batches} batches of {batch_bytes} bytes; "
    "create a larger volume: `volrep -g {dg} volume create {name} SIZE`", Exit.REFUSED)
SRL_HEADER_DAMAGED = Message(1501, "SRL {path}: no valid header ({reason})",
                             "nothing was changed; put the SRL back and `volrep recover`, or give the RVG a new one: "
                             "`volrep aslog`", Exit.FAILED)
SRL_DATA_DAMAGED = Message(
    1502, "SRL {path}: record at LSN {lsn} is damaged ({reason}), but was durable up to LSN {durable_lsn}",
    "this is media corruption, not a torn tail; nothing was changed; `volrep recover -f` or `volrep aslog` go on, and "
    "say what that loses", Exit.FAILED)
SRL_FOREIGN = Message(1503, "SRL {path} belongs to RVG {found}, not {wanted}",
                      "put the right SRL back and `volrep recover`, or name a new one: `volrep aslog`", Exit.REFUSED)
SRL_FORMAT_NEWER = Message(1504, "SRL {path} has format version {found}; this version reads up to {known}",
                           "run the volrep version that wrote it, or a newer one", Exit.REFUSED)
SYNC_FAILED = Message(1510, "{path}: writing failed: {reason}",
                      "the RVG is in FAIL; when the disk works again: `volrep recover`", Exit.FAILED)
VOLUME_IO_FAILED = Message(1511, "data volume {name}: {reason}",
                           "the RVG is in FAIL; when the volume works again: `volrep recover`", Exit.FAILED)
SRL_HEADER_FULL = Message(
    1505, "the SRL header of RVG {rvg} needs {size_bytes} bytes, a slot holds {limit_bytes}",
    "an RVG of this size does not fit one SRL: use fewer volumes in it, or several RVGs", Exit.REFUSED)
SRL_CREATE_FAILED = Message(1506, "SRL {path}: cannot be prepared: {reason}",
                            "free space or check the disk, then run the command again", Exit.FAILED)
UNKNOWN_VOLUME_INDEX = Message(1512, "a log record is for volume index {index}, and the RVG has {count} volumes",
                               "both ends must hold the same volumes; compare `volrep -g DG printrvg` on both",
                               Exit.FAILED)
BEYOND_VOLUME = Message(
    1513, "data volume {name}: a log record covers {length} bytes at offset {offset}, the volume ends at {size_bytes}",
    "the volume must be as large as on the Primary; nothing of the record was applied", Exit.FAILED)
SRL_READ_FAILED = Message(1507, "SRL {path}: reading {length} bytes at LSN {lsn} failed: {reason}",
                          "the RVG is in FAIL; when the disk works again: `volrep recover`; else a new SRL: "
                          "`volrep aslog`", Exit.FAILED)
VOLUME_BUSY = Message(1520, "volume {name} ({path}) is in use by another process",
                      "another worker, a mount or a device mapping holds it; end that first", Exit.REFUSED)
VOLUME_RESIZED = Message(1521, "volume {name} ({path}) has {found_bytes} bytes, it had {wanted_bytes} when it joined",
                         "give it its old size back, then `volrep recover`", Exit.FAILED)
SRL_ABSENT = Message(1530, "SRL {name} ({path}) cannot be opened: {reason}",
                     "put it back and `volrep recover`, or give the RVG a new one: `volrep aslog`", Exit.FAILED)
VOLUME_ABSENT = Message(1531, "data volume {name} ({path}) cannot be opened: {reason}",
                        "put it back and `volrep recover`, or another in its place: `volrep volume replace`",
                        Exit.FAILED)
VOLUME_SWAPPED = Message(
    1532, "data volume {name}: {path} is not the file that it was",
    "put the right file back and `volrep recover`; or take what is there: `volrep volume replace`", Exit.FAILED)
SRL_RESIZED = Message(1533, "SRL {name} ({path}) has {found_bytes} bytes, it had {wanted_bytes} when it joined",
                      "give it its old size back and `volrep recover`, or give the RVG a new one: `volrep aslog`",
                      Exit.FAILED)
NOT_ACCEPTED = Message(1534, "RVG {rvg}: what `recover -f` was to give up is not what is damaged now: {found}",
                       "look again with `volrep -l printrvg`, and decide again", Exit.REFUSED)
