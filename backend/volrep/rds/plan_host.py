"""Plans of one step, on one host: volumes, exports, block devices. Pure.

The engine validates and is idempotent itself; what is decided here is on which host, and how it is taken back.
"""

from __future__ import annotations

from volrep.engine.api import (
    AttachAdd,
    ExportAdd,
    ExportRemove,
    VolumeAdd,
    VolumeCreate,
    VolumeRef,
)
from volrep.model.config import Role
from volrep.model.errors import VolrepError
from volrep.model.messages import engine as engine_messages
from volrep.model.messages import rds as messages
from volrep.model.messages import usage
from volrep.model.units import format_size
from volrep.rds.step import Call, Plan, Step
from volrep.rds.world import Member, World


def acting_host(world: World, host: str, local: str, verb: str) -> str:
    """-H, else the local engine, else the only host. Raises VR-1013, VR-1100 or why it does not answer."""
    names = [view.name for view in world.hosts]
    chosen = host or local or (names[0] if len(names) == 1 else "")
    if not chosen:
        raise VolrepError(usage.NO_HOST, verb=verb, known=", ".join(names))
    return world.host(chosen).name


def host_of_data_volume(world: World, dg: str, volume: str, host: str) -> str:
    """Where the volume belongs to a Primary RVG; one that waits counts only when no other does.

    Raises VR-1323, VR-1324.
    """
    if host:
        return world.host(host).name
    primaries = [Member(view, info) for view in world.answering() for info in view.rvgs
                 if info.config.dg == dg and info.config.role is Role.PRIMARY
                 and volume in [v.name for v in info.config.volumes]]
    found = [m.host.name for m in primaries if not m.waits] or [m.host.name for m in primaries]
    if len(found) > 1:
        raise VolrepError(messages.ON_SEVERAL, volume=volume, dg=dg, hosts=", ".join(found))
    if not found:
        raise VolrepError(messages.NOT_A_MEMBER, volume=volume, dg=dg)
    return found[0]


def plan_volume_create(host: str, dg: str, name: str, size_bytes: int, directory: str) -> Plan:
    request = VolumeCreate(dg=dg, name=name, size_bytes=size_bytes, directory=directory)
    return _one(f"{host}: create volume {name} in disk group {dg}, {format_size(size_bytes)}",
                Call(host, "volume.create", request), Call(host, "volume.destroy", VolumeRef(dg=dg, name=name)))


def plan_volume_add(host: str, dg: str, name: str, path: str) -> Plan:
    return _one(f"{host}: take {path} as volume {name} of disk group {dg}",
                Call(host, "volume.add", VolumeAdd(dg=dg, name=name, path=path)),
                Call(host, "volume.destroy", VolumeRef(dg=dg, name=name)))


def plan_volume_destroy(world: World, host: str, dg: str, name: str) -> Plan:
    """An unknown volume is an error: a destroy of the wrong name must not look done. Raises VR-1312, VR-1732."""
    found = world.host(host).volume(dg, name)
    if found is None:
        raise VolrepError(engine_messages.VOLUME_UNKNOWN, host=host, volume=name, dg=dg)
    if found.use != "free":
        raise VolrepError(messages.VOLUME_TAKEN, volume=name, dg=dg, host=host, rvg=found.rvg, use=found.use)
    what = f"and remove {found.config.path}" if found.config.created_by_us else f"({found.config.path} stays)"
    return _one(f"{host}: destroy volume {name} of disk group {dg} {what}",
                Call(host, "volume.destroy", VolumeRef(dg=dg, name=name)))


def plan_export(host: str, dg: str, volume: str, listen: str) -> Plan:
    return _one(f"{host}: export volume {volume}{f' on {listen}' if listen else ''}",
                Call(host, "export.add", ExportAdd(dg=dg, volume=volume, listen=listen)))


def plan_unexport(host: str, dg: str, volume: str, *, force: bool) -> Plan:
    return _one(f"{host}: withdraw the exports of volume {volume}",
                Call(host, "export.remove", ExportRemove(dg=dg, name=volume, force=force)))


def plan_attach(world: World, host: str, dg: str, volume: str, mount: str) -> Plan:
    """A block device, and the export it needs when there is none yet."""
    found = world.host(host).volume(dg, volume)
    export = plan_export(host, dg, volume, "") if found is not None and not found.export else Plan()
    if export.steps:
        step = export.steps[0]
        back = Call(host, "export.remove", ExportRemove(dg=dg, name=volume))
        export = Plan((Step(step.title, step.do, (back,)),))
    device = _one(f"{host}: make a block device of volume {volume}{f', mounted on {mount}' if mount else ''}",
                  Call(host, "attach.add", AttachAdd(dg=dg, volume=volume, mount=mount)))
    return export.then(device)


def plan_detach(host: str, dg: str, volume: str) -> Plan:
    return _one(f"{host}: take the block device of volume {volume} away",
                Call(host, "attach.remove", VolumeRef(dg=dg, name=volume)))


def _one(title: str, do: Call, *undo: Call) -> Plan:
    return Plan((Step(title, do, undo),))
