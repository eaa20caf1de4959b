"""The configuration of an RVG as its SRL header carries it, for the day on which the engine's database is lost. Pure.

The header has names, identities, sizes and role anyway; `configured` adds what only the engine knew:

    {"srl": [name, path, volume_id], "paths": {volume: path}, "exports": [[volume, listen], ...],
     "links": [[link_id, name, remote_host, remote_address, remote_port, attributes], ...]}

Neither keys nor certificates: an SRL may lie on shared storage. It is a help, not a promise: what a slot has no room
for is left out (`volrep.log.header`), and then the volumes are looked for beside the SRL.
"""

from __future__ import annotations

from typing import Any

from volrep.log.header import SrlHeader
from volrep.model.config import ExportConfig, LinkConfig, Role, RvgConfig, RvgVolume


def said(config: RvgConfig) -> dict[str, Any]:
    """What goes into the header's `configured`."""
    return {
        "srl": [config.srl.name, config.srl.path, config.srl.volume_id],
        "paths": {volume.name: volume.path for volume in config.volumes},
        "exports": [[export.volume, export.listen] for export in config.exports],
        "links": [[link.link_id, link.name, link.remote_host, link.remote_address, link.remote_port, link.attributes]
                  for link in config.links],
    }


def rebuilt(header: SrlHeader, srl_path: str, srl_bytes: int, *, certificate_path: str,
            private_key_path: str) -> RvgConfig:
    """The RVG that a header describes; a volume's path is "" where the header does not say it.

    `srl_path` is where it was found, which counts. Links have neither certificate nor key. Raises ValueError,
    TypeError or KeyError for a header of another make.
    """
    extra = header.configured
    name, _, volume_id = extra.get("srl") or [srl_path.rpartition("/")[2], "", header.rvg_id]
    paths = extra.get("paths") or {}
    return RvgConfig(
        rds_id=header.rds_id, rvg_id=header.rvg_id, dg=header.dg, name=header.rvg, host=header.host,
        role=Role(header.role),
        srl=RvgVolume(index=-1, name=name, path=srl_path, size_bytes=srl_bytes, volume_id=volume_id),
        volumes=[RvgVolume(index=volume["index"], name=volume["name"], path=str(paths.get(volume["name"], "")),
                           size_bytes=volume["size_bytes"], volume_id=volume["volume_id"])
                 for volume in sorted(header.volumes, key=lambda v: int(v["index"]))],
        links=[LinkConfig(link_id=link_id, name=link_name, remote_host=host, remote_address=address, remote_port=port,
                          peer_certificate="", key="", attributes=attributes)
               for link_id, link_name, host, address, port, attributes in extra.get("links") or []],
        exports=[ExportConfig(volume=volume, listen=listen) for volume, listen in extra.get("exports") or []],
        certificate_path=certificate_path, private_key_path=private_key_path)
