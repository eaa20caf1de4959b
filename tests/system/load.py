"""Load for system tests: fio writing blocks that it can verify, each block once."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.system.hosts import Host, Operator

LOAD_TIMEOUT_S = 120


def _fio(uri: str, size_mib: int, seed: int, *extra: str) -> list[str]:
    return ["fio", "--name=load", "--ioengine=nbd", f"--uri={uri}", "--bs=4k", f"--size={size_mib}m", "--iodepth=32",
            f"--randseed={seed}", "--verify=crc32c", "--verify_fatal=1", "--verify_state_save=0",
            "--eta=never", *extra]


def start_writing(host: Host, uri: str, size_mib: int, log: Path, *, seed: int = 1,
                  rate_per_s: int = 0) -> subprocess.Popen[bytes]:
    """Write every block of the volume once in random order, with a checksum in each; `finish` waits for it."""
    rate = (f"--rate_iops={rate_per_s}",) if rate_per_s else ()
    return host.popen(_fio(uri, size_mib, seed, "--rw=randwrite", "--do_verify=0", *rate), log)


def finish(process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait for a load; every write of it was completed without an error."""
    assert process.wait(LOAD_TIMEOUT_S) == 0, log.read_text(errors="replace")[-4000:]


def verify(where: Host | Operator, uri: str, size_mib: int, *, seed: int = 1) -> None:
    """Read every block and check it against what `start_writing` with this seed wrote: none is missing."""
    where.run(_fio(uri, size_mib, seed, "--rw=randwrite", "--verify_only=1"), LOAD_TIMEOUT_S)
