"""Messages: log."""

from volrep.model.errors import Exit, Message

SRL_TOO_SMALL = Message(
    1500, "SRL {name} has {size_bytes} bytes, the minimum is {minimum_bytes}",
    "header slots {header_bytes} bytes plus room for {batches} batches of {batch_bytes} bytes; "
    "create a larger volume: `volrep -g {dg} volume create {name} SIZE`", Exit.REFUSED)
SRL_HEADER_DAMAGED = Message(1501, "SRL {path}: neither header slot is valid ({reason})",
                             "the RVG stays in FAIL; nothing was changed", Exit.FAILED)
SRL_DATA_DAMAGED = Message(
    1502, "SRL {path}: record at LSN {lsn} is damaged ({reason}), but was durable up to LSN {durable_lsn}",
    "this is media corruption, not a torn tail; the RVG stays in FAIL and nothing was truncated", Exit.FAILED)
SRL_FOREIGN = Message(1503, "SRL {path} belongs to RVG {found}, not {wanted}",
                      "name the right SRL volume, or a new one", Exit.REFUSED)
SRL_FORMAT_NEWER = Message(1504, "SRL {path} has format version {found}; this version reads up to {known}",
                           "run the volrep version that wrote it, or a newer one", Exit.REFUSED)
SYNC_FAILED = Message(1510, "{path}: sync failed: {reason}", "the RVG is in FAIL; check the disk", Exit.FAILED)
VOLUME_IO_FAILED = Message(1511, "data volume {name}: {reason}", "the RVG is in FAIL; check the disk",
                           Exit.FAILED)
