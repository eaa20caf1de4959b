"""Real NBD clients against the server: libnbd's tools and shell, QEMU's tools, fio. No special options anywhere."""

from __future__ import annotations

import json
import os
import subprocess
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.unit.nbd.clients import CLIENT_FLAGS, go
from tests.unit.nbd.services import FileService, Server, serving
from volrep.nbd.exports import ExportInfo, ExportTable

MIB = 1 << 20
SIZE_BYTES = 64 * MIB
TOOL_S = 120


@dataclass
class Volume:
    """A file behind a running server, and what clients need to know of it."""

    path: Path
    server: Server
    uri: str
    read_only_uri: str

    @property
    def data(self) -> bytes:
        return self.path.read_bytes()


@pytest.fixture(params=["answered at once", "answered a round later"])
def volume(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Volume]:
    yield from _volume(tmp_path, later=request.param == "answered a round later")


@pytest.fixture
def plain_volume(tmp_path: Path) -> Iterator[Volume]:
    yield from _volume(tmp_path, later=True)


def _volume(tmp_path: Path, *, later: bool) -> Iterator[Volume]:
    path = tmp_path / "volume"
    path.write_bytes(b"")
    os.truncate(path, SIZE_BYTES)
    fd = os.open(path, os.O_RDWR)
    exports = ExportTable([ExportInfo("hr_dv01", SIZE_BYTES, 0, description="data volume"),
                           ExportInfo("hr_ro", SIZE_BYTES, 0, read_only=True)])
    with serving(f"unix:{tmp_path}/nbd.sock", exports,
                 lambda reactor: FileService([fd], reactor if later else None)) as server:
        yield Volume(path, server, server.listener.uri("hr_dv01"), server.listener.uri("hr_ro"))
    os.close(fd)


def _run(*command: str, input_text: str = "") -> str:
    done = subprocess.run(command, input=input_text, capture_output=True, text=True, timeout=TOOL_S, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def _nbdsh(uri: str, script: str) -> str:
    """Run a script with `h`, a libnbd handle connected to `uri`; libnbd is the system Python's."""
    prelude = f"import errno, nbd\nh = nbd.NBD()\nh.add_meta_context('base:allocation')\nh.connect_uri({uri!r})\n"
    return _run("/usr/bin/python3", "-c", prelude + textwrap.dedent(script))


def test_nbdinfo_reads_everything_that_was_promised(plain_volume: Volume) -> None:
    (export,) = json.loads(_run("nbdinfo", "--json", plain_volume.uri))["exports"]
    promised = {"export-name": "hr_dv01", "export-size": SIZE_BYTES, "description": "data volume",
                "is_read_only": False,
                "can_multi_conn": True, "can_fua": True, "can_flush": True, "can_trim": True, "can_zero": True,
                "can_df": True, "can_cache": True, "block_size_minimum": 1, "block_size_preferred": 4096,
                "block_size_maximum": 32 * MIB}
    assert {key: export[key] for key in promised} == promised
    assert export["contexts"] == ["base:allocation"]
    names = [e["export-name"] for e in json.loads(_run("nbdinfo", "--list", "--json", plain_volume.uri))["exports"]]
    assert names == ["hr_dv01", "hr_ro"]
    assert _run("nbdinfo", "--is", "read-only", plain_volume.read_only_uri) == ""
    for promise in ("flush", "fua", "trim", "zero", "multi-conn", "cache", "df"):
        _run("nbdinfo", "--can", promise, plain_volume.uri)
    assert "export: 'hr_ro'" in _run("qemu-nbd", "--list", "--socket", plain_volume.uri.partition("socket=")[2])


def test_nbdinfo_maps_holes_and_data(volume: Volume) -> None:
    _run("qemu-io", "-f", "raw", "-c", "write -P 7 8M 2M", "-c", "flush", volume.uri)
    extents = json.loads(_run("nbdinfo", "--map", "--json", volume.uri))
    assert [(e["offset"], e["length"], e["type"]) for e in extents] == [
        (0, 8 * MIB, 3), (8 * MIB, 2 * MIB, 0), (10 * MIB, 54 * MIB, 3)]


def test_nbdcopy_brings_and_fetches_the_same_bytes(volume: Volume, tmp_path: Path) -> None:
    original, back = tmp_path / "original", tmp_path / "back"
    original.write_bytes(os.urandom(5 * MIB) + bytes(40 * MIB) + os.urandom(19 * MIB))
    back.touch()
    _run("nbdcopy", "--flush", "--connections=4", "--requests=64", str(original), volume.uri)
    assert volume.data == original.read_bytes()
    _run("nbdcopy", volume.uri, str(back))
    assert back.read_bytes() == original.read_bytes()


def test_qemu_io_finds_what_it_wrote(volume: Volume) -> None:
    output = _run(
        "qemu-io", "-f", "raw", "-c", "write -P 0xaa 0 1M", "-c", "write -f -P 0xbb 4096 512",
        "-c", "write -P 1 3M 20M", "-c", "write -z 64k 64k", "-c", "write -z -u 256k 64k", "-c", "discard 512k 64k",
        "-c", "flush", "-c", "aio_write -P 0xcc 30M 64k", "-c", "aio_write -P 0xdd 31M 4k", "-c", "aio_flush",
        "-c", "read -P 0xaa 0 4096", "-c", "read -P 0xbb 4096 512", "-c", "read -P 0xaa 4608 60928",
        "-c", "read -P 0 64k 64k", "-c", "read -P 0 256k 64k", "-c", "read -P 0 512k 64k",
        "-c", "read -P 1 3M 20M", "-c", "read -P 0xcc 30M 64k", "-c", "read -P 0xdd 31M 4k", "-c", "map", volume.uri)
    assert "Pattern verification failed" not in output
    assert "failed" not in output


def test_qemu_img_converts_compares_and_benches(plain_volume: Volume, tmp_path: Path) -> None:
    image, fetched = tmp_path / "image", tmp_path / "fetched"
    image.write_bytes(os.urandom(3 * MIB) + bytes(30 * MIB) + os.urandom(31 * MIB))
    _run("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", str(image), plain_volume.uri)
    assert "identical" in _run("qemu-img", "compare", "-f", "raw", "-F", "raw", str(image), plain_volume.uri)
    _run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", plain_volume.uri, str(fetched))
    assert "identical" in _run("qemu-img", "compare", "-f", "qcow2", "-F", "raw", str(fetched), plain_volume.uri)
    _run("qemu-img", "bench", "-f", "raw", "-w", "-d", "64", "-s", "4096", "-c", "5000", plain_volume.uri)
    _run("qemu-img", "bench", "-f", "raw", "-d", "64", "-s", "65536", "-c", "1000", plain_volume.uri)


def test_fio_verifies_what_it_wrote(volume: Volume) -> None:
    _run("fio", "--name=verify", "--ioengine=nbd", f"--uri={volume.uri}", "--size=32m", "--rw=randrw",
         "--bsrange=512-128k", "--iodepth=32", "--verify=crc32c", "--do_verify=1", "--verify_fatal=1", "--randseed=1")


def test_several_connections_see_one_volume(plain_volume: Volume) -> None:
    _nbdsh(plain_volume.uri, f"""
        others = [nbd.NBD() for _ in range(7)]
        for other in others:
            other.connect_uri({plain_volume.uri!r})
        for number, other in enumerate(others):
            other.pwrite(bytes([number + 1]) * 4096, number * 4096)
        assert h.pread(7 * 4096, 0) == b''.join(bytes([n + 1]) * 4096 for n in range(7))
    """)


def test_libnbd_gets_the_errors_that_nbdkit_gives(volume: Volume) -> None:
    script = f"""
        h.set_strict_mode(0)
        def fails(wanted, operation, *args, **keywords):
            try:
                operation(*args, **keywords)
            except nbd.Error as error:
                assert error.errnum == wanted, (operation.__name__, args[1:], error.errnum)
            else:
                raise AssertionError((operation.__name__, args))
        size = h.get_size()
        fails(errno.EINVAL, h.pread, 512, size)
        fails(errno.EINVAL, h.pread, 0, 0)
        fails(errno.EINVAL, h.pread, 512, 0, 1 << 13)
        fails(errno.EINVAL, h.pwrite, b'x', 0, 1 << 13)
        fails(errno.ENOSPC, h.pwrite, b'xx', size - 1)
        fails(errno.ENOSPC, h.zero, 4096, size)
        fails(errno.EINVAL, h.trim, 4096, size)
        fails(errno.EINVAL, h.cache, 4096, size)
        fails(errno.EINVAL, h.block_status, 4096, size, lambda *a: 0)
        fails(errno.EOVERFLOW, h.pwrite, bytes(33 << 20), 0)
        h.pwrite(b'y' * 1000, 100)
        assert h.pread(1002, 99) == b'\\0' + b'y' * 1000 + b'\\0'
        h.cache(4096, 0)
        ro = nbd.NBD()
        ro.connect_uri({volume.read_only_uri!r})
        ro.set_strict_mode(0)
        assert ro.pread(1, 100) == b'y'
        fails(errno.EPERM, ro.pwrite, b'z', 0)
        fails(errno.EPERM, ro.trim, 4096, 0)
        fails(errno.EPERM, ro.zero, 4096, 0)
        h.shutdown()
    """
    _nbdsh(volume.uri, script)


def test_requests_of_all_sizes_up_to_the_largest_arrive_whole(volume: Volume) -> None:
    _nbdsh(volume.uri, """
        import random
        random.seed(5)
        model = bytearray(h.get_size())
        for length in (1, 511, 4097, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 5_000_001, 32 << 20):
            offset = random.randrange(h.get_size() - length + 1)
            data = random.randbytes(length)
            model[offset:offset + length] = data
            h.pwrite(data, offset)
            assert h.pread(length, offset) == data
        half = h.get_size() // 2
        assert h.pread(half, 0) + h.pread(half, half) == model
    """)


def test_requests_in_flight_beyond_every_bound_are_all_answered(volume: Volume) -> None:
    _nbdsh(volume.uri, """
        buffers = [nbd.Buffer(64 << 10) for _ in range(3000)]
        commands = []
        for number, buffer in enumerate(buffers):
            offset = number * 4096
            pattern = nbd.Buffer.from_bytearray(bytearray(number.to_bytes(2, 'big') * 2048))
            commands.append(h.aio_pwrite(pattern, offset))
            commands.append(h.aio_pread(buffer, offset))
        while commands:
            h.poll(10_000)
            commands = [c for c in commands if not h.aio_command_completed(c)]
        assert h.pread(2, 2999 * 4096) == (2999).to_bytes(2, 'big')
    """)


def test_a_failing_service_fails_requests_not_connections(plain_volume: Volume) -> None:
    service = plain_volume.server.service
    service.broken = True
    script = """
        for operation in (lambda: h.pread(512, 0), lambda: h.pwrite(bytes(3 << 20), 0), h.flush,
                          lambda: h.block_status(512, 0, lambda *a: 0)):
            try:
                operation()
            except nbd.Error as error:
                assert error.errnum == errno.EIO, error
            else:
                raise AssertionError("no error")
    """
    _nbdsh(plain_volume.uri, script)
    service.broken = False
    _nbdsh(plain_volume.uri, "h.pwrite(b'again', 0); assert h.pread(5, 0) == b'again'")


def test_tcp_serves_as_the_unix_socket_does(tmp_path: Path) -> None:
    path = tmp_path / "volume"
    path.write_bytes(bytes(MIB))
    fd = os.open(path, os.O_RDWR)
    with serving("tcp:127.0.0.1:0", ExportTable([ExportInfo("only", MIB, 0)]), lambda _: FileService([fd])) as server:
        _nbdsh(f"nbd://127.0.0.1:{server.listener.port}", "h.pwrite(b'tcp', 7); assert h.pread(3, 7) == b'tcp'")
    os.close(fd)


def test_garbage_on_one_connection_leaves_the_others_alone(plain_volume: Volume) -> None:
    path = plain_volume.uri.partition("socket=")[2]
    _nbdsh(plain_volume.uri, f"""
        import os, random, socket
        random.seed(11)
        h.pwrite(b'before', 0)
        for number in range(60):
            client = socket.socket(socket.AF_UNIX)
            client.connect({path!r})
            try:
                if number % 2:
                    client.sendall({CLIENT_FLAGS + go("hr_dv01")!r})
                client.sendall(random.randbytes(random.randrange(5000)))
            except BrokenPipeError:
                pass
            client.close()
        assert h.pread(6, 0) == b'before'
    """)


