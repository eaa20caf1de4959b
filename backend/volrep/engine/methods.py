"""Which function answers which method of the control API: exactly those that `api.METHODS` declares."""

from __future__ import annotations

from volrep.engine import (
    serve_attach,
    serve_engine,
    serve_exports,
    serve_hooks,
    serve_links,
    serve_recovery,
    serve_roles,
    serve_rvgs,
    serve_volumes,
)
from volrep.engine.api import METHODS
from volrep.engine.host import Call

HANDLERS: dict[str, Call] = {
    "hello": serve_engine.hello,
    "engine.status": serve_engine.status,
    "engine.find": serve_engine.find,
    "engine.take": serve_engine.take,
    "engine.restore": serve_engine.restore,
    "engine.stop": serve_engine.stop,
    "volume.create": serve_volumes.create,
    "volume.add": serve_volumes.add,
    "volume.list": serve_volumes.list_volumes,
    "volume.destroy": serve_volumes.destroy,
    "rvg.create": serve_rvgs.create,
    "rvg.delete": serve_rvgs.delete,
    "rvg.recover": serve_recovery.recover,
    "rvg.aslog": serve_recovery.aslog,
    "volume.replace": serve_recovery.replace,
    "rvg.list": serve_rvgs.list_rvgs,
    "rvg.demote": serve_roles.demote,
    "rvg.promote": serve_roles.promote,
    "rvg.makesec": serve_roles.makesec,
    "rvg.set": serve_roles.set_attributes,
    "rvg.serve": serve_roles.serve,
    "rvg.divergence": serve_roles.divergence,
    "link.add": serve_links.add,
    "link.remove": serve_links.remove,
    "link.set": serve_links.set_attributes,
    "link.start": serve_links.start,
    "link.stop": serve_links.stop,
    "link.pause": serve_links.pause,
    "link.resume": serve_links.resume,
    "export.add": serve_exports.add,
    "export.remove": serve_exports.remove,
    "export.list": serve_exports.list_exports,
    "attach.add": serve_attach.add,
    "attach.remove": serve_attach.remove,
    "attach.list": serve_attach.list_attached,
    "hook.list": serve_hooks.list_hooks,
    "hook.run": serve_hooks.run,
    "events.list": serve_engine.list_events,
    "history.list": serve_engine.list_history,
    "log.dump": serve_rvgs.dump_log,
}
assert HANDLERS.keys() == METHODS.keys(), HANDLERS.keys() ^ METHODS.keys()
