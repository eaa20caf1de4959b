"""Work that may block (syncs of data volumes, cold reads, connection set-up), away from the loop."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

from volrep.ports.reactor import Loop

T = TypeVar("T")


class Background(Protocol):
    def run(self, work: Callable[[], T], done: Callable[[T | None, Exception | None], None]) -> None:
        """Run `work` elsewhere; `done(result, error)` is called in the loop afterwards, exactly once."""
        ...


class ThreadBackground:
    """`Background` over a few threads. Callers bound what they queue."""

    def __init__(self, loop: Loop, threads: int, name: str) -> None:
        self._loop = loop
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)

    def run(self, work: Callable[[], T], done: Callable[[T | None, Exception | None], None]) -> None:
        def finished(future: Future[T]) -> None:
            error = future.exception()
            if error is not None and not isinstance(error, Exception):
                raise error
            result = None if error is not None else future.result()
            self._loop.call_from_thread(lambda: done(result, error))

        self._pool.submit(work).add_done_callback(finished)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
