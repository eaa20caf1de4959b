"""Answers behind lists, discovered values and live views: asks the command once, shares and keeps the answer.

Knows JSON, caching and freshness. Must not know screens.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from volrep.menus.extract import Row, choices_of, fill_words
from volrep.menus.form import Form
from volrep.menus.model import Discover, ListSource, Words
from volrep.model.errors import VolrepError
from volrep.model.messages import console
from volrep.tui.runner import Program, capture

ANSWERS_MAX = 32  # distinct commands behind all lists are about ten; views add one per RDS that was looked at
FRESH_S = 10.0  # younger answers are shown without asking again
TIMEOUT_S = 40.0  # a host that does not answer costs SSH's 10 s per try; three tries and the local part


class Source:
    """One per console. `clock` is monotonic seconds."""

    def __init__(self, program: Program, clock: Callable[[], float] = time.monotonic) -> None:
        self.program = program
        self._clock = clock
        self._answers: OrderedDict[tuple[str, ...], tuple[float, Any]] = OrderedDict()
        self._asking: dict[tuple[str, ...], asyncio.Task[Any]] = {}

    async def rows(self, source: ListSource, values: Mapping[str, str], *, fresh: bool = False) -> list[Row]:
        """The rows of a list. Raises VR-1831 to VR-1833, VR-1841; an empty list is not an error here."""
        if source.choices:
            return choices_of(source, None, values)
        return choices_of(source, await self.document(source.command, values, fresh=fresh), values)

    async def explain(self, form: Form, lists: Mapping[str, ListSource]) -> None:
        """Find out what a confirmation names and no field says, such as the host of a typed RVG."""
        for field in form.dialog.fields:
            if form.unexplained and field.source and form.values[field.name]:
                with suppress(VolrepError):  # the confirmation then says that it is not known
                    values = {**form.all_values(), field.name: ""}
                    form.learn(field.name, await self.rows(lists[field.source], values))

    async def discovered(self, discover: Discover, values: Mapping[str, str]) -> Any:
        return await self.document(discover.command, values, fresh=True)

    async def picture(self, words: Words, values: Mapping[str, str]) -> Any:
        """What is to be drawn. A command that refuses and yet says a document is drawn too: it says why."""
        return await self.document(words, values, fresh=True, refused_too=True)

    @property
    def busy(self) -> bool:
        """Whether a command is being asked now."""
        return bool(self._asking)

    def forget(self) -> None:
        """After a change: nothing that is known may be believed."""
        self._answers.clear()

    async def document(self, words: Words, values: Mapping[str, str], *, fresh: bool,
                       refused_too: bool = False) -> Any:
        """The JSON of a command. Two who ask at the same time get the same answer, from one process."""
        argv = tuple(fill_words(words, values))
        kept = self._answers.get(argv)
        if kept is not None and not fresh and self._clock() - kept[0] < FRESH_S:
            return kept[1]
        task = self._asking.get(argv)
        if task is None:
            task = asyncio.create_task(self._ask(argv, refused_too=refused_too))
            self._asking[argv] = task
            task.add_done_callback(lambda done: self._asked(argv, done))
        return await asyncio.shield(task)

    async def _ask(self, argv: tuple[str, ...], *, refused_too: bool) -> Any:
        answer = await capture(self.program, argv, TIMEOUT_S)
        command = self.program.show(argv)
        if answer.exit != 0 and not (refused_too and answer.stdout.strip()):
            problem = answer.stderr.decode(errors="replace").strip() or f"exit code {answer.exit}"
            raise VolrepError(console.LIST_FAILED, problem=problem, command=command)
        try:
            return json.loads(answer.stdout)
        except ValueError as error:
            raise VolrepError(console.NOT_JSON, command=command) from error

    def _asked(self, argv: tuple[str, ...], done: asyncio.Task[Any]) -> None:
        del self._asking[argv]
        if done.cancelled() or done.exception() is not None:
            return  # whoever awaits the task gets the exception
        self._answers[argv] = (self._clock(), done.result())
        self._answers.move_to_end(argv)
        while len(self._answers) > ANSWERS_MAX:
            self._answers.popitem(last=False)

    async def close(self) -> None:
        """End what is still being asked."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
