"""One real engine with real workers: what it keeps, what it refuses, what survives which kill."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.system.engines import PROGRAM
from tests.system.nbd_client import NbdClient
from tests.system.one_engine import DEADLINE_S, Engine, engine_in
from tests.system.waiting import wait_for
from volrep.engine.api import (
    AttachAdd,
    AttachInfo,
    EventsRequest,
    ExportAdd,
    ExportRemove,
    LinkAdd,
    LinkOf,
    LinkSet,
    RvgDelete,
    VolumeAdd,
    VolumeCreate,
    VolumeRef,
)
from volrep.engine.client import EngineClient, connect_local
from volrep.engine.spawn import worker_argv
from volrep.link.connect import hello_line
from volrep.model.config import Role
from volrep.model.errors import VolrepError
from volrep.model.units import MIB


@pytest.fixture
def engine(tmp_path_factory: pytest.TempPathFactory) -> Generator[Engine]:
    yield from engine_in(tmp_path_factory.mktemp("e"))


def refused(engine: Engine, method: str, request: object) -> str:
    """The id of the refusal, after making sure that nothing was changed."""
    before = (engine.client.call("volume.list"), [i.config for i in engine.client.call("rvg.list").rvgs],
              engine.client.call("history.list"))
    with pytest.raises(VolrepError) as caught:
        engine.client.call(method, request)  # type: ignore[arg-type]  # one of the declared requests
    assert caught.value.hint
    assert before == (engine.client.call("volume.list"), [i.config for i in engine.client.call("rvg.list").rvgs],
                      engine.client.call("history.list"))
    return caught.value.id


# ---- what it keeps


def test_state_outlives_a_kill_and_its_port_stays(engine: Engine) -> None:
    path = engine.volume("dv")
    port = engine.client.call("engine.status").port
    engine.restart_after_kill()
    (volume,) = engine.client.call("volume.list").volumes
    assert (volume.config.path, volume.use, path.stat().st_size) == (str(path), "free", 32 * MIB)
    assert engine.client.call("engine.status").port == port
    assert [(h.method, h.client) for h in engine.client.call("history.list").entries] == [("volume.create", "tester")]


def test_saying_it_again_finds_the_work_done(engine: Engine) -> None:
    request = engine.make_rvg()
    assert engine.client.call("rvg.create", request).config.rvg_id == request.rvg_id
    engine.volume("dv")
    link = engine.link()
    for _ in range(2):
        engine.client.call("link.add", LinkAdd(dg="dg", rvg="rvg", link=link))
        engine.client.call("export.add", ExportAdd(dg="dg", volume="dv"))
    for _ in range(2):
        engine.client.call("link.remove", LinkOf(dg="dg", rvg="rvg", link_id="l1"))
        engine.client.call("export.remove", ExportRemove(dg="dg", name="dv"))
    for _ in range(2):
        engine.client.call("rvg.delete", RvgDelete(dg="dg", name="rvg"))
    for _ in range(2):
        engine.client.call("volume.destroy", VolumeRef(dg="dg", name="dv"))
    said = [entry.method for entry in engine.client.call("history.list").entries]
    assert said == ["volume.create"] * 2 + ["rvg.create", "link.add", "export.add", "link.remove", "export.remove",
                                            "rvg.delete", "volume.destroy"]


def test_a_volume_left_half_made_by_a_kill_is_finished_when_said_again(engine: Engine) -> None:
    path = engine.volume("dv")
    path.unlink()
    assert engine.volume("dv") == path
    assert path.stat().st_size == 32 * MIB


def test_keys_are_never_shown(engine: Engine) -> None:
    engine.make_rvg()
    info = engine.client.call("link.add", LinkAdd(dg="dg", rvg="rvg", link=engine.link()))
    shown = info.json() + engine.client.call("history.list").json()
    assert "5ec7e7" not in shown
    for path in (engine.state / "config.db", engine.state / "control.sock", engine.state / "key.pem"):
        assert path.stat().st_mode & 0o077 == 0


def test_link_attributes_are_checked_kept_and_in_force(engine: Engine) -> None:
    engine.make_rvg()
    engine.client.call("link.add", LinkAdd(dg="dg", rvg="rvg", link=engine.link()))
    info = engine.client.call("link.set", LinkSet(dg="dg", rvg="rvg", link_id="l1",
                                                  attributes={"synchronous": "override"}))
    assert info.config.links[0].attributes == {"synchronous": "override"}
    assert info.status.links[0].attributes["synchronous"] == "override"
    for attributes, wanted in (({"nonsense": "1"}, "VR-1020"), ({"compression": "lz4"}, "VR-1021"),
                               ({"synchronous": "maybe"}, "VR-1022")):
        assert refused(engine, "link.set", LinkSet(dg="dg", rvg="rvg", link_id="l1", attributes=attributes)) == wanted
    assert refused(engine, "link.set", LinkSet(dg="dg", rvg="rvg", link_id="l9", attributes={})) == "VR-1401"


# ---- what it refuses


def test_an_rvg_is_refused_with_a_reason_and_changes_nothing(engine: Engine) -> None:
    good = engine.make_rvg()
    engine.volume("dv2")
    engine.volume("small", MIB)
    other = good.changed(rvg_id="x", name="other", srl="srl2", volumes=["dv2"])
    engine.volume("srl2")
    for change, wanted in (({"name": "rvg"}, "VR-1731"), ({"volumes": ["dv"]}, "VR-1734"), ({"srl": "srl"}, "VR-1734"),
                           ({"volumes": ["nope"]}, "VR-1732"), ({"volumes": ["srl2"]}, "VR-1735"),
                           ({"volumes": []}, "VR-1736"), ({"srl": "small"}, "VR-1500"),
                           ({"name": "../x"}, "VR-1011"), ({"name": "n" * 32}, "VR-1011")):
        assert refused(engine, "rvg.create", other.changed(**change)) == wanted, change
    assert refused(engine, "volume.destroy", VolumeRef(dg="dg", name="dv")) == "VR-1734"
    assert refused(engine, "volume.create", VolumeCreate(dg="dg", name="dv", size_bytes=MIB)) == "VR-1733"
    assert refused(engine, "volume.add", VolumeAdd(dg="dg", name="n", path=str(engine.state / "key.pem"))) == "VR-1203"
    path = engine.state / "volumes" / "dg" / "dv2"
    assert refused(engine, "volume.add", VolumeAdd(dg="dg", name="n", path=str(path))) == "VR-1739"


def test_an_rvg_whose_worker_cannot_open_its_volumes_is_undone(engine: Engine) -> None:
    path = engine.volume("dv")
    engine.volume("srl")
    with path.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert refused(engine, "rvg.create", engine.rvg_request()) == "VR-1723"
    assert list((engine.state / "run").glob("w-*.sock")) == []
    engine.client.call("rvg.create", engine.rvg_request())


def test_an_export_that_cannot_listen_is_undone_and_harms_nothing(engine: Engine) -> None:
    engine.make_rvg()
    engine.client.call("export.add", ExportAdd(dg="dg", volume="dv"))
    before = engine.rvg().worker_pid
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"tcp:127.0.0.1:{other.getsockname()[1]}"
        assert refused(engine, "export.add", ExportAdd(dg="dg", volume="dv", listen=taken)) == "VR-1602"
    for listen, wanted in (("tcp:0.0.0.0:10809", "VR-1601"), ("tcp:127.0.0.1:0", "VR-1600"), ("udp:x", "VR-1600"),
                           (f"unix:/{'x' * 200}", "VR-1707")):
        assert refused(engine, "export.add", ExportAdd(dg="dg", volume="dv", listen=listen)) == wanted
    assert len(engine.client.call("export.list").exports) == 1
    assert engine.rvg().worker_pid == before


def test_secondaries_and_logs_are_not_exported(engine: Engine) -> None:
    engine.make_rvg(Role.SECONDARY)
    assert refused(engine, "export.add", ExportAdd(dg="dg", volume="dv")) == "VR-1752"
    assert refused(engine, "export.add", ExportAdd(dg="dg", volume="srl")) == "VR-1751"


def test_an_rvg_in_use_is_not_deleted(engine: Engine) -> None:
    engine.make_rvg()
    delete = RvgDelete(dg="dg", name="rvg")
    engine.client.call("link.add", LinkAdd(dg="dg", rvg="rvg", link=engine.link()))
    assert refused(engine, "rvg.delete", delete) == "VR-1740"
    engine.client.call("link.remove", LinkOf(dg="dg", rvg="rvg", link_id="l1"))
    export = engine.client.call("export.add", ExportAdd(dg="dg", volume="dv"))
    client = NbdClient(export.uri)
    assert refused(engine, "rvg.delete", delete) == "VR-1750"
    assert refused(engine, "export.remove", ExportRemove(dg="dg", name="dv")) == "VR-1750"
    engine.client.call("rvg.delete", delete.changed(force=True))
    client.close()
    assert engine.client.call("rvg.list").rvgs == []


def test_the_srl_of_a_deleted_rvg_serves_the_next_one(engine: Engine) -> None:
    engine.make_rvg()
    engine.client.call("rvg.delete", RvgDelete(dg="dg", name="rvg"))
    assert engine.client.call("rvg.create", engine.rvg_request()).status.state == "ACTIVE"


# ---- starting


def run_engine(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PROGRAM, "engine", "run", *arguments], capture_output=True, text=True, timeout=DEADLINE_S,
                          stdin=subprocess.DEVNULL, check=False)


def test_only_one_engine_runs_on_a_state_directory(engine: Engine) -> None:
    second = run_engine("--state", str(engine.state))
    assert f"VR-1701: an engine (pid {engine.process.pid}) already runs" in second.stderr
    assert second.returncode == 3
    assert engine.client.call("engine.status").name == "london"


def test_a_port_in_use_or_a_wrong_name_ends_the_start(engine: Engine, tmp_path: Path) -> None:
    port = engine.client.call("engine.status").port
    busy = run_engine("--state", str(tmp_path / "a"), "--listen", "127.0.0.1", "--port", str(port))
    assert (busy.returncode, "VR-1703" in busy.stderr) == (1, True), busy.stderr
    engine.process.stop()
    other = run_engine("--state", str(engine.state), "--name", "tokyo")
    assert (other.returncode, "VR-1702" in other.stderr) == (3, True), other.stderr
    engine.start()


def test_who_connects_without_an_engine_is_told(tmp_path: Path) -> None:
    with pytest.raises(VolrepError, match="VR-1700"):
        connect_local(tmp_path)
    done = subprocess.run([PROGRAM, "engine", "connect", "--state", str(tmp_path)], capture_output=True, text=True,
                          timeout=DEADLINE_S, stdin=subprocess.DEVNULL, check=False)
    assert "VR-1700" in done.stderr
    assert done.returncode == 4


def test_connect_joins_stdin_and_stdout_to_the_engine(engine: Engine) -> None:
    argv = [str(PROGRAM), "engine", "connect", "--state", str(engine.state)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as joined:
        assert joined.stdin is not None
        assert joined.stdout is not None
        client = EngineClient(joined.stdout, joined.stdin)
        assert client.hello("over a pipe").name == "london"
        engine.volume("dv")
        assert len(client.call("volume.list").volumes) == 1
        joined.stdin.close()
        assert joined.wait(DEADLINE_S) == 0


# ---- kills


def test_workers_notice_nothing_of_a_killed_engine(engine: Engine) -> None:
    engine.make_rvg()
    export = engine.client.call("export.add", ExportAdd(dg="dg", volume="dv"))
    pid = engine.rvg().worker_pid
    engine.process.kill()
    engine.client.close()
    subprocess.run(["qemu-io", "-f", "raw", "-c", "write -P 7 0 1M", export.uri], check=True, capture_output=True)
    engine.start()
    assert engine.rvg_up().worker_pid == pid
    assert engine.event_types()[-1:] == ["worker_start"]


def test_a_killed_worker_comes_back_with_links_and_exports(engine: Engine) -> None:
    engine.make_rvg()
    engine.client.call("link.add", LinkAdd(dg="dg", rvg="rvg", link=engine.link()))
    export = engine.client.call("export.add", ExportAdd(dg="dg", volume="dv"))
    first = engine.rvg().worker_pid
    os.kill(first, signal.SIGKILL)
    back = engine.rvg_up(not_pid=first)
    assert back.status is not None
    assert (back.worker_restarts, [link.link_id for link in back.status.links]) == (1, ["l1"])
    subprocess.run(["nbdinfo", "--size", export.uri], check=True, capture_output=True)


def test_a_worker_without_an_rvg_is_shut_down_by_the_next_engine(engine: Engine) -> None:
    engine.process.kill()
    engine.client.close()
    left = subprocess.Popen(worker_argv(engine.state / "run" / "w-dg.gone.sock"))
    wait_for((engine.state / "run" / "w-dg.gone.sock").exists, DEADLINE_S, "the worker to listen")
    engine.start()
    assert left.wait(DEADLINE_S) == 0
    assert "worker_stray" in engine.event_types()


def test_sigterm_ends_workers_cleanly(engine: Engine) -> None:
    engine.make_rvg()
    pid = engine.rvg().worker_pid
    engine.process.stop()
    assert not Path(f"/proc/{pid}").exists()
    assert not (engine.state / "control.sock").exists()
    engine.start()
    assert engine.rvg_up().worker_pid != pid


@pytest.mark.parametrize("after", [0, 1, 2, 3, 4])
def test_a_kill_in_the_middle_of_changes_leaves_each_done_or_not(engine: Engine, after: int) -> None:
    """The engine is killed while a client says changes as fast as it can; said again, all of them succeed."""
    script = ("import sys\nfrom pathlib import Path\nfrom volrep.engine.api import *\n"
              "from volrep.engine.client import connect_local\nclient = connect_local(Path(sys.argv[1]))\n"
              "for n in range(30):\n"
              "    client.call('volume.create', VolumeCreate(dg='dg', name=f'v{n}', size_bytes=4096))\n"
              "    print(n, flush=True)\n")
    argv = [sys.executable, "-c", script, str(engine.state)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as changing:
        assert changing.stdout is not None
        for _ in range(after * 5 + 1):
            changing.stdout.readline()
        engine.restart_after_kill()
        changing.communicate()
    for volume in engine.client.call("volume.list").volumes:
        engine.client.call("volume.create", VolumeCreate(dg="dg", name=volume.config.name, size_bytes=4096))
        assert Path(volume.config.path).stat().st_size == 4096
    subprocess.run(argv, check=True, capture_output=True, timeout=DEADLINE_S)
    assert len(engine.client.call("volume.list").volumes) == 30


# ---- replication port and control socket


def test_a_link_that_nobody_here_has_is_closed_without_an_answer(engine: Engine) -> None:
    port = engine.client.call("engine.status").port
    for line in (hello_line("r", "l", "x"), b"\x16\x03\x01\x02\x00", b"GET / HTTP/1.1\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", port), DEADLINE_S) as sock:
            sock.sendall(line)
            assert _ends_without_a_word(sock)
    assert engine.event_types().count("link_refused") == 1


def _ends_without_a_word(sock: socket.socket) -> bool:
    try:
        sock.shutdown(socket.SHUT_WR)
        return sock.recv(1) == b""
    except OSError as error:  # closed before it was asked
        return error.errno in (errno.ECONNRESET, errno.ENOTCONN)


@pytest.mark.parametrize("line", [b"no json\n", b"[]\n", b"{}\n", b'{"id": {}, "method": "hello"}\n', b"\xff\n",
                                  b'{"id": 1, "method": 7}\n', b"[" * 100_000 + b"\n", b"x" * 300_000],
                         ids=["text", "array", "empty", "id", "bytes", "method", "nested", "endless"])
def test_what_is_no_request_is_answered_and_ends_the_conversation(engine: Engine, line: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(DEADLINE_S)
        sock.connect(str(engine.state / "control.sock"))
        with sock.makefile("rb") as answers:
            try:
                sock.sendall(line)
                answer = json.loads(answers.readline())
                assert answer["error"]["data"]["number"] == 1710
                assert answers.readline() == b""
            except ConnectionError:  # closed while it was still talking
                assert len(line) > 100_000
    assert engine.client.call("engine.status").name == "london"


def test_wrong_parameters_are_refused_and_the_conversation_goes_on(engine: Engine) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(engine.state / "control.sock"))
        with sock.makefile("rwb") as stream:
            for method, params, number in (("volume.list", {"dgg": ""}, 1710), ("nonsense", {}, 1711),
                                           ("hello", {"protocol": 99}, 1712)):
                stream.write(json.dumps({"id": 1, "method": method, "params": params}).encode() + b"\n")
                stream.flush()
                assert json.loads(stream.readline())["error"]["data"]["number"] == number


def test_clients_are_bounded_and_the_one_too_many_is_told(engine: Engine) -> None:
    held = [connect_local(engine.state) for _ in range(63)]
    with pytest.raises(VolrepError, match="VR-1713"):
        connect_local(engine.state)
    for client in held:
        client.close()
    wait_for(lambda: _connects(engine), DEADLINE_S, "room for a client")


def _connects(engine: Engine) -> bool:
    try:
        connect_local(engine.state).close()
    except VolrepError:
        return False
    return True


def test_who_waits_for_events_gets_the_next_one(engine: Engine) -> None:
    last = engine.client.call("events.list").last_id
    with connect_local(engine.state) as other:
        assert other.call("events.list", EventsRequest(after_id=last, wait_s=0.05)).events == []
        engine.make_rvg()
        found = other.call("events.list", EventsRequest(after_id=last, wait_s=30.0))
    assert found.events[0].type == "worker_start"
    assert found.last_id > last


# ---- block devices


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="block devices need root")


@needs_root
def test_a_file_system_on_an_attached_volume_outlives_worker_and_engine(engine: Engine, tmp_path: Path) -> None:
    engine.make_rvg()
    client = engine.client
    assert refused(engine, "attach.add", AttachAdd(dg="dg", volume="dv")) == "VR-1753"
    client.call("export.add", ExportAdd(dg="dg", volume="dv"))
    assert refused(engine, "attach.add", AttachAdd(dg="dg", volume="dv", mount=str(tmp_path))) == "VR-1764"
    attached: AttachInfo = client.call("attach.add", AttachAdd(dg="dg", volume="dv"))
    assert attached.survives_restart
    subprocess.run(["/usr/sbin/mkfs.ext4", "-q", attached.device], check=True)
    client.call("attach.remove", VolumeRef(dg="dg", name="dv"))
    mount = tmp_path / "m"
    mount.mkdir()
    attached = client.call("attach.add", AttachAdd(dg="dg", volume="dv", mount=str(mount)))
    (mount / "before").write_bytes(b"b" * MIB)
    os.kill(engine.rvg().worker_pid, signal.SIGKILL)
    (mount / "during").write_bytes(b"d" * MIB)
    os.sync()
    engine.restart_after_kill()
    client = engine.client
    assert client.call("attach.list").attached == [attached]
    for method, request in (("export.remove", ExportRemove(dg="dg", name="dv", force=True)),
                            ("rvg.delete", RvgDelete(dg="dg", name="rvg", force=True))):
        assert refused(engine, method, request) == "VR-1766"
    with (mount / "open").open("w"):
        assert refused(engine, "attach.remove", VolumeRef(dg="dg", name="dv")) == "VR-1763"
    client.call("attach.remove", VolumeRef(dg="dg", name="dv"))
    assert not mount.is_mount()
    assert list((engine.state / "run" / "attach").iterdir()) == []
    client.call("rvg.delete", RvgDelete(dg="dg", name="rvg"))
    image = engine.state / "volumes" / "dg" / "dv"
    subprocess.run(["/usr/sbin/e2fsck", "-fn", str(image)], check=True, capture_output=True)
    listed = subprocess.run(["/usr/sbin/debugfs", "-R", "ls -l", str(image)], check=True, capture_output=True,
                            text=True)
    assert {"before", "during", "open"} <= set(listed.stdout.split())


@needs_root
def test_trimmed_space_goes_back_to_the_host(engine: Engine) -> None:
    engine.make_rvg()
    engine.client.call("export.add", ExportAdd(dg="dg", volume="dv"))
    device = engine.client.call("attach.add", AttachAdd(dg="dg", volume="dv")).device
    image = engine.state / "volumes" / "dg" / "dv"
    subprocess.run(["dd", "if=/dev/urandom", f"of={device}", "bs=1M", "count=16", "oflag=direct"], check=True,
                   capture_output=True)
    # A write is answered before it is in the volume.
    wait_for(lambda: image.stat().st_blocks * 512 >= 16 * MIB, DEADLINE_S, "what was written to be in the volume")
    subprocess.run(["/usr/sbin/blkdiscard", device], check=True)
    wait_for(lambda: image.stat().st_blocks * 512 < 8 * MIB, DEADLINE_S, "the space to be given back")


@needs_root
def test_devices_that_are_gone_are_forgotten_at_the_next_start(engine: Engine) -> None:
    engine.make_rvg()
    engine.client.call("export.add", ExportAdd(dg="dg", volume="dv"))
    device = engine.client.call("attach.add", AttachAdd(dg="dg", volume="dv")).device
    subprocess.run(["/usr/sbin/losetup", "-d", device], check=True)
    engine.restart_after_kill()
    assert engine.client.call("attach.list").attached == []
    assert "attach_lost" in engine.event_types()
    engine.client.call("attach.add", AttachAdd(dg="dg", volume="dv"))


@needs_root
def test_a_device_whose_helper_died_with_writes_under_way_is_made_again(engine: Engine) -> None:
    """As when everything on a host is killed: what the device held is lost, and must hold up nobody."""
    engine.make_rvg()
    engine.client.call("export.add", ExportAdd(dg="dg", volume="dv"))
    device = engine.client.call("attach.add", AttachAdd(dg="dg", volume="dv")).device
    (helper,) = (int(p.read_text()) for p in (engine.state / "run" / "attach").rglob("pid"))
    fd = os.open(device, os.O_RDWR)
    os.pwrite(fd, b"w" * MIB, 0)
    os.kill(helper, signal.SIGKILL)
    wait_for(lambda: not Path(f"/proc/{helper}/exe").exists(), DEADLINE_S, "the helper to be gone")
    os.close(fd)
    engine.restart_after_kill()
    again = engine.client.call("attach.add", AttachAdd(dg="dg", volume="dv"))
    subprocess.run(["dd", "if=/dev/zero", f"of={again.device}", "bs=1M", "count=1", "conv=fsync"], check=True,
                   capture_output=True)
