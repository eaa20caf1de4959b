"""From the error that put an RVG into FAIL to what its operator is told. Pure.

Knows which message means which kind of damage, what is safe then, and the verbs that go on. Must not know files.
"""

from __future__ import annotations

from collections.abc import Iterator

from volrep.log.verdict import Gap
from volrep.model.attributes import effective
from volrep.model.config import LinkConfig, Role, RvgConfig
from volrep.model.damage import (
    FAULT_FLAGS,
    FLAGS,
    LOST_SHOWN_MAX,
    Damage,
    DamageKind,
    LinkFault,
    LostRecord,
    Salvage,
    fault_of,
)
from volrep.model.errors import Message, VolrepError
from volrep.model.messages import log as messages
from volrep.model.status import LinkKState, LinkState, LinkStatus

_KINDS: dict[Message, DamageKind] = {
    messages.SRL_HEADER_DAMAGED: DamageKind.SRL_HEADER, messages.SRL_ABSENT: DamageKind.SRL_MISSING,
    messages.SRL_RESIZED: DamageKind.SRL_SIZE, messages.SRL_FOREIGN: DamageKind.SRL_FOREIGN,
    messages.SRL_DATA_DAMAGED: DamageKind.SRL_DATA, messages.SRL_READ_FAILED: DamageKind.SRL_IO,
    messages.VOLUME_ABSENT: DamageKind.VOLUME_MISSING, messages.VOLUME_RESIZED: DamageKind.VOLUME_SIZE,
    messages.VOLUME_SWAPPED: DamageKind.VOLUME_CHANGED, messages.VOLUME_IO_FAILED: DamageKind.VOLUME_IO,
    messages.VOLUME_BUSY: DamageKind.BUSY,
}
_DAMAGED = (DamageKind.SRL_HEADER, DamageKind.SRL_MISSING, DamageKind.SRL_SIZE, DamageKind.SRL_FOREIGN)


def kind_of(error: VolrepError, srl_path: str) -> DamageKind:
    if error.message is messages.SYNC_FAILED:
        return DamageKind.SRL_IO if str(error.values["path"]) == srl_path else DamageKind.VOLUME_IO
    return _KINDS.get(error.message, DamageKind.OTHER)


def damage_of(error: VolrepError, config: RvgConfig, gaps: list[Gap], salvage: Salvage | None = None) -> Damage:
    """What is damaged, what is safe, what may be lost, what to do. `gaps`, `salvage`: of a damaged log."""
    kind = kind_of(error, config.srl.path)
    part = _part(error, config, kind)
    safe, lost = _stakes(kind, config, error)
    accept, gives_up = _acceptable(kind, config, error, part, len(gaps), salvage)
    records = _all_lost(gaps, config)
    return Damage(
        kind=kind, part=part, path=_path(config, part), found=f"{error.id}: {error.text}", safe=safe, lost=lost,
        next=_moves(kind, config, part, gives_up, salvage), accept=accept, gives_up=gives_up,
        lsn=int(error.values.get("lsn", 0)), durable_lsn=int(error.values.get("durable_lsn", 0)),
        records=records[:LOST_SHOWN_MAX], records_more=max(0, len(records) - LOST_SHOWN_MAX),
        salvage=salvage)


def _part(error: VolrepError, config: RvgConfig, kind: DamageKind) -> str:
    if kind.value.startswith("srl"):
        return config.srl.name
    if "name" in error.values:
        return str(error.values["name"])
    path = str(error.values.get("path", ""))
    return next((v.name for v in config.volumes if v.path == path), "")


def _path(config: RvgConfig, part: str) -> str:
    return next((v.path for v in (config.srl, *config.volumes) if v.name == part.partition(",")[0]), "")


def lost_records(gaps: list[Gap], config: RvgConfig) -> list[LostRecord]:
    """At most LOST_SHOWN_MAX of them."""
    return _all_lost(gaps, config)[:LOST_SHOWN_MAX]


def _all_lost(gaps: list[Gap], config: RvgConfig) -> list[LostRecord]:
    return [record for gap in gaps for record in _lost(gap, config)]


def _lost(gap: Gap, config: RvgConfig) -> Iterator[LostRecord]:
    """The record whose header is intact, and what nobody knows."""
    header, known_to_lsn = gap.header, min(gap.known_to_lsn, gap.to_lsn)
    if header is not None:
        names = {v.index: v.name for v in config.volumes}
        yield LostRecord(from_lsn=gap.from_lsn, to_lsn=known_to_lsn,
                         volume=names.get(header.volume, str(header.volume)), offset=header.offset,
                         length=header.length, time_ns=header.timestamp_ns)
    if known_to_lsn < gap.to_lsn:
        yield LostRecord(from_lsn=known_to_lsn, to_lsn=gap.to_lsn)


def _stakes(kind: DamageKind, config: RvgConfig, error: VolrepError) -> tuple[str, str]:
    """(what is safe, what may be lost)."""
    if config.role is Role.SECONDARY:
        return _secondary_stakes(kind)
    if kind in _DAMAGED:
        return ("the data volumes hold what was applied: everything that was completed before the last power loss or "
                "crash of this host, and what a Secondary acknowledged is there",
                "after a power loss, writes that were completed shortly before it and not yet on the volumes; what "
                "each Secondary still lacked")
    if kind is DamageKind.SRL_DATA:
        return (f"the log up to LSN {error.values['lsn']}, and every good record behind it; nothing was changed",
                "the damaged records, where the volumes do not hold them already")
    if kind is DamageKind.SRL_IO:
        return ("every completed write is in the SRL, and on the data volumes as far as it was applied",
                "nothing once the disk works again")
    if kind.value.startswith("volume"):
        return ("the SRL with all completed writes that are not yet on the volumes, the other data volumes, "
                "the Secondaries", "nothing once the volume is back as it was; otherwise what is on this volume alone")
    return "everything: nothing was changed", "nothing"


def _secondary_stakes(kind: DamageKind) -> tuple[str, str]:
    if kind is DamageKind.BUSY or kind is DamageKind.OTHER:
        return "everything: nothing was changed", "nothing"
    if kind.value.startswith("srl"):
        return "the Primary, which keeps what this Secondary lacks while its SRL has room", (
            "this copy, when the Primary is lost before it is repaired")
    return "the Primary; the other data volumes here", "this copy, when the Primary is lost before it is repaired"


def _acceptable(kind: DamageKind, config: RvgConfig, error: VolrepError, part: str, gaps: int,
                salvage: Salvage | None) -> tuple[str, str]:
    """(what `recover -f` says, what that gives up); empty when it has nothing to offer."""
    if kind is DamageKind.VOLUME_CHANGED:
        return f"{kind}:{part}", (f"nothing, if {part} is a complete copy of what was there; otherwise the log is "
                                  f"replayed onto other data. All links become STALE")
    if kind is not DamageKind.SRL_DATA:
        return "", ""
    accept = f"{kind}:{error.values['lsn']}"
    if config.role is Role.SECONDARY:
        left = (salvage.words() if salvage is not None else
                "nothing can ever take over with what is left, a synchronization was not finished")
        return accept, (f"the log behind LSN {error.values['lsn']}, which the Primary sends again; until then this "
                        f"Secondary is inconsistent. When the Primary is lost for good: {left}")
    return accept, (f"{gaps} damaged part{'s' if gaps != 1 else ''} of the log: the volumes keep there what they have, "
                    f"older or newer. All links become STALE; a Secondary that has these writes is the better copy")


def _moves(kind: DamageKind, config: RvgConfig, part: str, gives_up: str, salvage: Salvage | None) -> list[str]:
    volrep = f"volrep -g {config.dg} -H {config.host}"
    recover, aslog = f"{volrep} recover {config.name}", f"{volrep} aslog {config.name} SRL_VOLUME"
    if kind is DamageKind.BUSY:
        return ["end what holds the volume; the engine tries again by itself", recover]
    if kind is DamageKind.OTHER:
        return [recover]
    moves = []
    if kind in (DamageKind.SRL_MISSING, DamageKind.SRL_SIZE, DamageKind.SRL_FOREIGN, DamageKind.SRL_HEADER):
        moves.append(f"put the SRL back as it was, if it exists somewhere, then: {recover}")
    elif kind is not DamageKind.SRL_DATA:
        moves.append(f"repair it or put it back as it was, then: {recover}")
    if gives_up:
        moves.append(f"or: {volrep} -f recover {config.name}   (gives up: {gives_up})")
    if salvage is not None:
        moves.append(f"and then, only when the Primary is lost for good: volrep -g {config.dg} -f takeover "
                     f"{config.name} {config.host}")
    if kind.value.startswith("srl"):
        moves.append(f"or a new SRL, on this or another volume; all links become STALE: {aslog}")
    else:
        moves.append(f"or another file or device in its place: {volrep} volume replace {part.partition(',')[0]} [PATH]")
    if config.role is Role.SECONDARY or kind.value.startswith("srl"):
        moves.append(f"when a link has become STALE, copy again: volrep -g {config.dg} -a startrep {config.name}")
    return moves


def rvg_flags(config: RvgConfig, damage: Damage | None) -> list[str]:
    if damage is None:
        return [config.role.value, "enabled"]
    return [config.role.value, "disabled", "fail", "needs_recovery", *FLAGS[damage.kind]]


def failed_end(link: LinkConfig, damage: Damage) -> LinkStatus:
    """A Secondary's end of a link while its RVG is in FAIL: what its Primary is told, too."""
    fault = fault_of(damage.kind)
    return LinkStatus(
        link_id=link.link_id, name=link.name, remote_host=link.remote_host,
        state=LinkState.FAIL if fault is LinkFault.VOLUME else LinkState.PAUSE, kstate=LinkKState.ENABLED,
        flags=["attached", "disconnected", "inconsistent", *FAULT_FLAGS[fault]], connected=False, reason=damage.found,
        attributes=effective(link.attributes))
