"""Bugs put in on purpose, one at a time: each must be found by some seed, or the oracles cannot fail.

A mutation replaces text in the source of one function or more while a run lasts. Text that is no longer there is an
error, so the list stays true to the code. `python -m tests.sim.mutations [NAME ...]` tries all (or some) and says which
seed found each.
"""

from __future__ import annotations

import importlib
import inspect
import logging
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.sim.run import execute
from tests.sim.scenario import plan

SEEDS_MAX = 40


@dataclass(frozen=True, slots=True)
class Mutation:
    """`edits`: (function as "module:Class.name", text, its replacement). `scenarios`: where seeds look for it."""

    name: str
    edits: tuple[tuple[str, str, str], ...]
    scenarios: tuple[str, ...] = ("mixed",)
    first_seed: int = 1
    quick: bool = False  # tried in every CI run


MUTATIONS = (
    Mutation("reply before sync", (
        ("rvg.journal:Journal.append", "durable=True", "durable=False"),), quick=True),
    Mutation("ack before verify", (
        ("link.receiver:Receiver.refill", "lsn=self._buffer.verified_lsn", "lsn=self._buffer._filled_lsn"),),
        ("protocol-b-io", "mixed")),
    Mutation("data ack before the SRL has it", (
        ("link.receiver:Receiver.refill", "aux=self._buffer.committed_lsn", "aux=self._buffer.verified_lsn"),),
        ("protocol-c-io", "mixed"), quick=True),
    Mutation("commit beyond the Primary's commit LSN", (
        ("link.receiver:Receiver._due_bytes", "min(self._commit_lsn, self._buffer.verified_lsn)",
         "self._buffer.verified_lsn"),
        ("link.logbuffer:LogBuffer.take", "records[-1][6] <= commit_lsn", "True"))),
    Mutation("no zeroes behind an append, incarnation not raised", (
        ("log.srl:Srl.append", "min(free, HEADER_BYTES + -(after + HEADER_BYTES) % PAGE_BYTES)", "0"),
        ("rvg.opening:_recover", "end.incarnation) + 1", "end.incarnation)")), ("torn-tails",),
        first_seed=300),
    Mutation("tail moved before the header says so", (
        ("rvg.journal:Journal.has_room", "self.save_header()", "self.srl._written_tail_lsn = self.header.tail_lsn"),),
        ("mixed", "ahead-behind"), quick=True),
    Mutation("checkpoint without a sync of the volumes", (
        ("rvg.journal:Journal._sync_gently", "self.sync_volumes()", "return"),), quick=True),
    Mutation("checkpoint beyond what the sync covered", (
        ("rvg.journal:Journal.checkpoint", "max(self.header.applied_lsn, reached_lsn)", "self.applied_lsn"),)),
    Mutation("regions before the header says inconsistent", (
        ("rvg.secondary:Secondary.begin", "if not journal.try_save_header():", "if False:"),),
        ("force-resync", "resync-interrupt")),
    Mutation("regions acknowledged before they are durable", (
        ("rvg.copyin:CopyIn._sync", "self._journal.background.run(self._journal.sync_volumes, done)",
         "self._journal.background.run(lambda: None, done)"),), ("resync-interrupt", "mixed", "force-resync")),
    Mutation("consistent before the log is applied that far", (
        ("rvg.secondary:Secondary._check_consistent", "self.journal.applied_lsn < after_lsn", "False"),),
        ("busy-resync", "write-during-resync")),
    Mutation("copy goes on where it was, not where it was acknowledged", (
        ("rvg.copyout:CopyOut.connected", "self.resync.rewind()", "pass"),), ("resync-interrupt",)),
    Mutation("synchronous before the Secondary has caught up", (
        ("rvg.synchrony:Synchrony.look", "sender.network_lsn >= end_lsn", "True"),),
        ("protocol-b-io", "protocol-c-io", "mixed")),
    Mutation("synchronous writes do not wait", (
        ("rvg.primary:Primary._complete", "self._waiting or self._sync_floor_lsn() < end_lsn", "False"),),
        ("protocol-b-io",), quick=True),
    Mutation("payload memory given back before it is used", (
        ("rvg.primary:Primary.commit", "journal, header = self.journal, self.journal.header",
         "journal, header = self.journal, self.journal.header; [c.release() for c in holding]"),)),
    Mutation("links hold nothing back", (
        ("rvg.primary:Primary._retain_lsn", "min((link.retain_lsn for link in self.links.values()), "
         "default=self.journal.end_lsn)", "self.journal.end_lsn"),), ("mixed", "brief-resync"), quick=True),
    Mutation("log bytes are taken unseen", (
        ("log.record:cut", "checksum(view[payload:payload_end]) != payload_crc", "False"),), ("rot", "connect-abort")),
    Mutation("frames are taken unseen", (
        ("link.frames:FrameReader.received", "kind != _LOG and", "False and"),), ("connect-abort", "mixed")),
    Mutation("damage is cut off like a torn tail", (
        ("log.recovery:_Scan._end", "if unreadable or not is_torn(bad, self._proof):", "if False:"),), ("rot",)),
    Mutation("a header in one slot only", (
        ("log.srl:Srl.write_header", "range(2)", "range(1)"),), ("rot",)),
    Mutation("a batch grows while it waits for room", (
        ("rvg.primary:Primary.submit", "if (self._behind or self._is_full())", "if False"),), ("disks",)),
    Mutation("a connection is used after its copy ended it", (
        ("link.session:Session.pump", "if self.closed:  # a copy", "if False:  # a copy"),), ("disks",),
        first_seed=50),
    Mutation("a closed sender stays with its link", (
        ("rvg.outlink:OutLink._dial", "if not sender.closed:", "if True:"),), ("third-node", "ahead-behind")),
    Mutation("a batch that did not fit is forgotten", (
        ("rvg.journal:Journal.checkpoint", "self.on_room()", "pass"),), ("suspend-resume-io", "mixed")),
    Mutation("a takeover forgets what was in memory", (
        ("rvg.roles:Roles.promote", "[] if asked.how is PromoteHow.MIGRATE else self.secondary.tail()", "[]"),),
        ("takeover",), quick=True),
    Mutation("a migrate does not wait for the other host", (
        ("rvg.demotion:Demotion._look", "primary.busy or self._lacking()", "primary.busy"),
        ("rvg.roles:Roles._check_promotion", "journal.durable_lsn != asked.expect_lsn", "False")), ("migrate",)),
    Mutation("startup=serve waits for everybody", (
        ("rvg.asking:Asking._look", " and self._startup is Startup.ASK_PEERS", ""),), ("startup-alone",), quick=True),
    Mutation("startup=ask-peers waits for a moment only", (
        ("rvg.asking:Asking._look", "(link.attached and self._startup is Startup.ASK_PEERS)", "False"),),
        ("startup-alone",), quick=True),
    Mutation("a Primary that is turned away does not hear why", (
        ("rvg.outlink:OutLink.refused", "if claim is not None:", "if False:"),), ("startup-alone",)),
    Mutation("a Primary does not listen to whom it turns away", (
        ("rvg.roles:Roles._turn_away", "self._loop.call_soon(lambda: self.rivals.heard(claim))", "pass"),),
        ("startup-alone",)),
    Mutation("synchronous goes on after it was switched off", (
        ("rvg.synchrony:Synchrony.configure", "if not self.wanted:", "if False:"),), ("roles-attributes",)),
    Mutation("synchronous is never in force", (
        ("rvg.synchrony:Synchrony.look", "self.in_force = True", "return"),), ("roles-attributes",), quick=True),
    Mutation("one answer is enough for startup=ask-peers", (
        ("rvg.asking:Asking.answered", "self._links.pop(link.config.link_id, None)", "self._links.clear()"),),
        ("startup-alone", "roles")),
    Mutation("a changed sync_ack does not reach the other end", (
        ("rvg.remembered:connection_part", 'chosen["encryption"],\n            chosen["sync_ack"])',
         'chosen["encryption"])'),), ("roles-attributes",), first_seed=80),
    Mutation("a starting Primary asks nobody", (
        ("rvg.roles:Roles.open", "self.asking.begin()", "self.asking.end()"),), ("roles",)),
    Mutation("a Primary never hears that it was superseded", (
        ("rvg.rivals:Rivals.heard", "if reaction is Reaction.NONE:", "if True:"),), ("takeover", "roles")),
    Mutation("a conflict with one host outlasts a takeover by another", (
        ("link.fork:react", "if end_lsn > beyond_lsn", "if in_conflict or end_lsn > beyond_lsn"),),
        ("takeover-amid-a-conflict",), quick=True),
    Mutation("of three Primaries each tells of the others in turn", (
        ("rvg.rivals:Rivals._conflict", "not _is_to_be_shown(rival, header.rival)", "False"),),
        ("takeover-amid-a-conflict",)),
    Mutation("-autofb brings a host back once more", (
        ("rvg.outlink:OutLink._fails_back_by_itself", " and not self.mind.delivered", ""),), ("return-twice",),
        quick=True),
    Mutation("a failback that nobody ordered", (
        ("rvg.outlink:OutLink._fails_back_by_itself", "self._primary.tracking.auto and ", ""),),
        ("roles",), first_seed=10, quick=True),
    Mutation("a failback copies only what was written here", (
        ("rvg.failback:differing_regions", "unite(union, decode(said)[1])", "decode(said)"),), ("takeover", "roles")),
    Mutation("a failback copies only what the other host wrote", (
        ("rvg.failback:differing_regions", "unite(union, ours)", "pass"),), ("takeover", "roles")),
    Mutation("the map of changes lacks batches", (
        ("rvg.primary:Primary.commit", "self.tracking.mark(batch)", "pass"),), ("takeover", "roles")),
    Mutation("nobody asks how much of a copy is still there", (
        ("link.negotiate:decide", "if welcome.copied_frames < order.copied_frames:", "if False:"),),
        ("revert-amid-a-copy",), first_seed=15, quick=True),
    Mutation("logs are not compared before a failback", (
        ("rvg.tail:checked", "isinstance(decision, Start | Rewind)", "isinstance(decision, Start)"),),
        ("return-older",)),
    Mutation("logs are not compared before the stream goes on", (
        ("rvg.tail:checked", "isinstance(decision, Start | Rewind)", "isinstance(decision, Rewind)"),),
        ("return-older",), quick=True),
    Mutation("logs that differ are taken for the same", (
        ("rvg.tail:likeness", "else Likeness.DIFFERENT", "else Likeness.SAME"),), ("return-older",)),
    Mutation("a failback is carried out again", (
        ("link.negotiate:_fail_back", "if order.delivered:", "if False:"),), ("return-older",)),
    Mutation("a reign keeps those that its log had not reached", (
        ("link.fork:with_reign", " if reign.start_lsn <= newest.start_lsn", ""),), ("roles",), first_seed=120),
    Mutation("a Secondary's own word does not count as its first acknowledgement", (
        ("rvg.outlink:OutLink._heed", "if not self._confirmed():", "if False:"),), first_seed=7000450),
    Mutation("reigns that are not above others", (
        ("link.fork:next_generation", "return 1 + max(", "return max("),), ("takeover", "roles")),
    Mutation("the role is taken before the header says so", (
        ("rvg.roles:Roles.promote", "self.journal.save_header()", "pass"),), ("takeover", "roles")),
)


def _target(where: str) -> tuple[Any, str, Any]:
    module_name, _, path = where.partition(":")
    module = importlib.import_module(f"volrep.{module_name}")
    holder: Any = module
    *outer, name = path.split(".")
    for part in outer:
        holder = getattr(holder, part)
    return holder, name, module


@contextmanager
def mutated(mutation: Mutation) -> Iterator[None]:
    """The code with the bug in it. Functions that other modules imported by name are replaced there, too."""
    undo = []
    try:
        for where, text, replacement in mutation.edits:
            holder, name, module = _target(where)
            original = getattr(holder, name)
            source = textwrap.dedent(inspect.getsource(original))
            assert text in source, f"mutation {mutation.name!r}: {text!r} is no longer in {where}"
            scope: dict[str, Any] = {}
            exec(compile(source.replace(text, replacement), f"<{mutation.name}>", "exec"), vars(module), scope)
            made = scope[name]
            for place in [holder, *(m for m in list(sys.modules.values()) if m.__name__.startswith("volrep."))]:
                if vars(place).get(name) is original:
                    undo.append((place, name, original))
                    setattr(place, name, made)
        yield
    finally:
        for place, name, original in undo:
            setattr(place, name, original)


def hunt(mutation: Mutation, seeds_max: int = SEEDS_MAX) -> tuple[str, int, str] | None:
    """(scenario, seed, violation) of the first run that finds the bug; None when none of the seeds does."""
    with mutated(mutation):
        for seed in range(mutation.first_seed, mutation.first_seed + seeds_max):
            for scenario in mutation.scenarios:
                violation = execute(plan(scenario, seed)).violation
                if violation:
                    return scenario, seed, violation
    return None


def main(names: list[str]) -> int:
    logging.disable(logging.CRITICAL)
    missed = 0
    for mutation in MUTATIONS:
        if names and not any(n in mutation.name for n in names):
            continue
        started_s = time.monotonic()
        found = hunt(mutation)
        missed += found is None
        where = f"{found[0]} seed {found[1]}, {found[2]}" if found else "NOT FOUND"
        sys.stdout.write(f"{mutation.name}: {where} ({time.monotonic() - started_s:.1f} s)\n")
        sys.stdout.flush()
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
