"""A channel's directions as files: whole lines both ways, and nothing to say when they are collected as garbage."""

from __future__ import annotations

import gc
import io
import socket
import sys
from typing import Any

import pytest

from volrep.rds.ssh import Pipe


def test_lines_and_ends_pass() -> None:
    ours, theirs = socket.socketpair()
    writer, reader = io.BufferedWriter(Pipe(send=ours.send)), io.BufferedReader(Pipe(theirs.recv))
    writer.write(b"one\ntwo\n")
    writer.flush()
    assert reader.readline(100) == b"one\n"
    assert reader.readline(2) == b"tw"
    ours.close()
    theirs.close()


def test_the_other_end_s_end_is_an_end() -> None:
    ours, theirs = socket.socketpair()
    reader = io.BufferedReader(Pipe(theirs.recv))
    ours.sendall(b"last words")
    ours.close()
    assert reader.read(100) == b"last words"
    assert reader.read(100) == b""
    theirs.close()


def test_a_conversation_left_to_the_collector_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", said.append)
    ours, theirs = socket.socketpair()
    cycle: list[Any] = [io.BufferedWriter(Pipe(send=ours.send)), io.BufferedReader(Pipe(ours.recv))]
    cycle[0].write(b"never flushed")
    cycle.append(cycle)
    ours.close()
    theirs.close()
    del cycle
    gc.collect()
    assert said == []
