"""Block devices out of exported volumes: made, found again, taken away. Blocking; for a helper thread.

Ways, the first that this host can:

    qemu     qemu-storage-daemon (NBD client that reconnects, FUSE file) + loop device. I/O waits while the worker
             restarts and goes on afterwards; nothing above it notices.
    nbd      nbd-client and the kernel's nbd module. Faster, but a worker that dies means I/O errors.
    nbdfuse  nbdfuse + loop device. As nbd.

Everything about one attachment lies in one directory: `image` (the FUSE file), `pid` (of the helper process), `log`.
So what an engine that was killed left behind is found and undone from there. The helpers outlive the engine.

Must not know RVGs, the store or the control API.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from volrep.engine.blockdev import (
    DeviceBusy,
    attach_loop,
    detach_loop,
    is_mount_point,
    loops_of,
    mount_points,
)
from volrep.engine.tools import ToolFailed, find_tool, run, why_not

HELPER_DEADLINE_S = 10.0  # to be ready, or to end
# How long QEMU holds I/O back while the worker is away before it fails it: a day, so that an operator decides.
RECONNECT_DELAY_S = 86_400
_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Source:
    """The export to attach: its unix socket or (address, port), and its name."""

    volume: str
    socket_path: str
    address: str
    port: int

    @property
    def uri(self) -> str:
        if self.socket_path:
            return f"nbd+unix:///{self.volume}?socket={self.socket_path}"
        return f"nbd://{self.address}:{self.port}/{self.volume}"


@dataclass(frozen=True, slots=True)
class Device:
    """What came out."""

    path: str
    way: str
    survives_restart: bool


def attach(folder: Path, source: Source) -> Device:
    """Make a device by the first way that works. Raises ToolFailed; DeviceBusy when an old one is still in use."""
    detach(folder, "", "")  # what an earlier attempt left
    folder.mkdir(mode=0o700, parents=True)
    reasons = []
    for way, missing, make in WAYS:
        reason = missing()
        if not reason:
            try:
                return make(folder, source)
            except ToolFailed as error:
                reason = str(error)
                end_helper(folder)
        reasons.append(f"{way}: {reason}")
    shutil.rmtree(folder)
    raise ToolFailed("; ".join(reasons))


def detach(folder: Path, device: str, mount: str) -> None:
    """Take everything away, in order; what is gone already is fine. Raises DeviceBusy, ToolFailed."""
    image = folder / "image"
    devices = loops_of(image) or ([device] if device.startswith("/dev/nbd") else [])
    for found in devices:
        if mount and mount in mount_points(found):
            unmount(found, mount)
        if others := mount_points(found):
            raise DeviceBusy(found, f"mounted on {', '.join(others)}")
        if found.startswith("/dev/loop"):
            detach_loop(found, flush=helper_pid(folder) is not None)
        else:
            run("nbd-client", "-d", found)
    end_helper(folder)
    if folder.exists():
        shutil.rmtree(folder)


def cut_off(folder: Path) -> None:
    """Nobody may use the volume here any more: what is under way fails instead of waiting for the export to return."""
    pid = helper_pid(folder)
    if pid is not None:
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: helper_pid(folder) != pid)


def clear_away(folder: Path, device: str) -> list[str]:
    """What `cut_off` has left: mounts go as soon as the last user lets go. Devices that stay until then."""
    left = []
    for found in loops_of(folder / "image") or ([device] if device.startswith("/dev/nbd") else []):
        for point in mount_points(found):
            run("umount", "--lazy", point)
        if found.startswith("/dev/loop"):
            try:
                detach_loop(found, flush=False)
            except DeviceBusy:
                left.append(found)
        else:
            run("nbd-client", "-d", found)
    if is_mount_point(folder / "image"):
        run("umount", "--lazy", str(folder / "image"))
    if folder.exists():
        shutil.rmtree(folder)
    return left


def drop_remains(folder: Path) -> None:
    """The folder of a device that is gone, when nothing uses it any more: `detach` was broken off. Raises OSError."""
    image = folder / "image"
    if folder.exists() and helper_pid(folder) is None and not loops_of(image) and not is_mount_point(image):
        shutil.rmtree(folder)


def unmount(device: str, mount: str) -> None:
    try:
        run("umount", mount)
    except ToolFailed as error:
        raise DeviceBusy(device, str(error)) from error


def is_alive(folder: Path, device: str) -> bool:
    """Whether the device is still what `attach` made (it is not after a reboot, or when its helper died)."""
    if device.startswith("/dev/nbd"):
        return Path(f"/sys/block/{Path(device).name}/pid").exists()
    return device in loops_of(folder / "image") and helper_pid(folder) is not None


def left_over(folder: Path) -> tuple[Device, str] | None:
    """(device, where it is mounted or "") that an engine made and was killed before it could remember; None: none.

    Ways with a loop device only: what nbd-client made cannot be told from another's.
    """
    loops, pid = loops_of(folder / "image"), helper_pid(folder)
    if not loops or pid is None:
        return None
    is_qemu = b"qemu-storage-daemon" in Path(f"/proc/{pid}/cmdline").read_bytes()
    way = "qemu-storage-daemon and a loop device" if is_qemu else "nbdfuse and a loop device"
    return Device(loops[0], way, survives_restart=is_qemu), next(iter(mount_points(loops[0])), "")


# ---- helpers


def helper_pid(folder: Path) -> int | None:
    """The process that serves the image; None when it is gone, also when its number is another process's now."""
    try:
        pid = int((folder / "pid").read_text())
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return pid if os.fsencode(folder / "image") in arguments else None


def end_helper(folder: Path) -> None:
    """End the helper (by force when its export is away and it waits for it), unmount the image."""
    pid = helper_pid(folder)
    for how in (signal.SIGTERM, signal.SIGKILL):
        if pid is not None and helper_pid(folder) == pid:
            os.kill(pid, how)
            wait_until(lambda: helper_pid(folder) is None)
    image = folder / "image"
    if is_mount_point(image):
        run(next((tool for tool in ("fusermount3", "fusermount") if find_tool(tool)), "umount"), "-u", str(image))


def wait_until(done: Callable[[], bool]) -> bool:
    """Whether it came true within HELPER_DEADLINE_S."""
    end_s = time.monotonic() + HELPER_DEADLINE_S
    while not done():
        if time.monotonic() > end_s:
            return False
        time.sleep(_POLL_S)
    return True


# ---- ways


def _qemu_missing() -> str:
    return why_not("qemu-storage-daemon") or why_not("losetup") or _no_device("/dev/fuse") or _no_root()


def _qemu(folder: Path, source: Source) -> Device:
    image = folder / "image"
    image.touch(mode=0o600)
    server = (f"server.type=unix,server.path={_escaped(source.socket_path)}" if source.socket_path
              else f"server.type=inet,server.host={source.address},server.port={source.port}")
    run("qemu-storage-daemon", "--daemonize", "--pidfile", str(folder / "pid"),
        "--blockdev", f"driver=nbd,node-name=volume,{server},export={_escaped(source.volume)},"
                      f"reconnect-delay={RECONNECT_DELAY_S},discard=unmap",
        "--export", f"type=fuse,id=image,node-name=volume,mountpoint={_escaped(str(image))},writable=on")
    return Device(attach_loop(image), "qemu-storage-daemon and a loop device", survives_restart=True)


def _escaped(value: str) -> str:
    return value.replace(",", ",,")


def _nbd_missing() -> str:
    if reason := why_not("nbd-client") or _no_root():
        return reason
    if not Path("/sys/module/nbd").exists():
        try:
            run("modprobe", "nbd")
        except ToolFailed as error:
            return f"no kernel module nbd ({error})"
    return ""


def _nbd(_folder: Path, source: Source) -> Device:
    free = [path for path in sorted(Path("/sys/block").glob("nbd*")) if not (path / "pid").exists()]
    if not free:
        raise ToolFailed("all /dev/nbdN are in use")
    device = f"/dev/{free[0].name}"
    where = ["-unix", source.socket_path] if source.socket_path else [source.address, str(source.port)]
    run("nbd-client", *where, device, "-N", source.volume, "-b", "4096")
    return Device(device, "nbd-client", survives_restart=False)


def _nbdfuse_missing() -> str:
    return why_not("nbdfuse") or why_not("losetup") or _no_device("/dev/fuse") or _no_root()


def _nbdfuse(folder: Path, source: Source) -> Device:
    image = folder / "image"
    image.touch(mode=0o600)
    tool = find_tool("nbdfuse")
    assert tool is not None, "nbdfuse was found a moment ago"
    with (folder / "log").open("ab") as log:
        helper = subprocess.Popen([tool, "-P", str(folder / "pid"), str(image), source.uri],
                                  stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    if not wait_until(lambda: helper.poll() is not None or is_mount_point(image)) or helper.poll() is not None:
        helper.kill()
        helper.wait()
        raise ToolFailed(f"nbdfuse: {(folder / 'log').read_text(errors='replace').strip() or 'did not get ready'}")
    return Device(attach_loop(image), "nbdfuse and a loop device", survives_restart=False)


def _no_device(path: str) -> str:
    return "" if Path(path).exists() else f"there is no {path}"


def _no_root() -> str:
    return "" if os.geteuid() == 0 else "the engine does not run as root"


WAYS: tuple[tuple[str, Callable[[], str], Callable[[Path, Source], Device]], ...] = (
    ("qemu", _qemu_missing, _qemu),
    ("nbd", _nbd_missing, _nbd),
    ("nbdfuse", _nbdfuse_missing, _nbdfuse),
)
