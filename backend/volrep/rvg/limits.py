"""Every bound of a worker in one place, with its arithmetic. Memory of a worker is their sum.

    base (interpreter, libraries)                                ~45 MiB
    receive buffers: CONNECTIONS_MAX x 2 MiB (nbd.connection)    128 MiB only with 64 busy connections
    cold reads: COLD_READ_MAX_BYTES                               64 MiB
    per Secondary link (Primary): one region of 256 KiB, TLS 512 KiB
    Secondary: one log buffer (link.logbuffer, 11 MiB), one region of 1 MiB
    lag samples: LAG_SAMPLES_MAX x ~130 B                           4 MiB
    recovery, before links and connections exist: log.recovery.CHUNK_BYTES and one record, 9 MiB; the records in
    it as objects, at most 131,072 headers of 64 B x ~0.4 KiB      52 MiB
"""

from __future__ import annotations

CONNECTIONS_MAX = 64  # per worker, over all exports

BATCH_COMMIT_RECORDS = 8 << 10
"""So is one of so many records; with one more receive (1,024 requests) it stays below log.record's 16 Ki."""
BATCH_COMMIT_BYTES = 4 << 20
"""A batch this large is committed at once; with one more receive (2 MiB) it stays below link.logbuffer's 8 MiB."""

CHECKPOINT_INTERVAL_S = 5.0  # bounds what a restart replays to a few seconds of writes
CHECKPOINT_USED_PART = 4  # or when 1/4 of the SRL was written since the last one, so that space never runs short
MARKS_MAX = 4096  # old checkpoints that may become the tail: 4096 x 1/4 ring is more than a ring
CHECKPOINT_BYTES_MAX = 256 << 20  # or this much, so that recovery of a huge SRL stays a matter of a second

COLD_READ_MAX_BYTES = 64 << 20  # reads waiting for the disk in threads; beyond, the loop reads itself
COLD_READ_THREADS = 4

REGION_BYTES = 256 << 10
"""Unit of resynchronization: 1 TiB is 4 Mi regions, a bitmap of 512 KiB; one is read in well under a millisecond."""
REGION_WINDOW_BYTES = 32 << 20  # regions sent and not yet durable on the Secondary
REGION_SYNC_BYTES = 8 << 20  # the Secondary syncs after this much ...
REGION_SYNC_INTERVAL_S = 0.2  # ... or this long
REGION_MAP_SAVE_INTERVAL_S = 2.0  # what a Primary's restart copies twice

SETUP_THREADS = 8
"""Dialling and proofs of identity: threads of their own, for each may hold one for link.connect's 10 s or more."""
STARTUP_ASK_S = 2.0  # a starting Primary waits so long for Secondaries that cannot be reached
DIAL_INTERVAL_S = 1.0  # between attempts to connect a link
LAG_SAMPLES_MAX = 32768
HEADER_INTERVAL_S = 5.0  # link positions in the SRL header are at most this old

VERIFY_RANGE_BYTES = 1 << 20
"""Of both logs, compared at once; at one range in VERIFY_INTERVAL_S an end reads back 16 MiB/s at most."""
VERIFY_INTERVAL_S = 1 / 16
VERIFY_IDLE_S = 1.0  # until the rest behind the last whole range is compared, too
