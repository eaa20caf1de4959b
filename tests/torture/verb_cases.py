"""The verbs that change configuration or SRL headers, each with a situation in which it makes sense and a way back.

`NOT_WALKED` has the other changing verbs with the reason; tests/unit/test_verb_cases.py holds both against the verb
declaration, so that a new verb cannot be forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.system.life import DG, GONE, HOSTS, RVG

Action = tuple[str, ...] | str
"""What an operator types, or the name of a method of `VerbStage`."""

VOLUMES = (("srl", "64m"), ("srl2", "64m"), ("dv01", "4m"))
ADDED_BYTES = 8 << 20  # as `Life` makes them

NOT_WALKED = {
    "host install": "works on another host over SSH; test_host_install.py breaks it off",
    "engine run": "is the engine",
    "engine stop": "ends what would be killed",
    "engine connect": "joins two streams",
    "firedrill": "refused in this version",
    "console": "composes the other verbs",
    "demo": "plays on engines of its own, which end with it",
}
READING = ("host list", "host check", "volume list", "exports", "printrvg", "printvol", "repstatus", "validate",
           "divergence", "events", "history", "log dump", "engine status", "help", "completion")


@dataclass(frozen=True, slots=True)
class Case:
    """`stage`: a setting of `VerbStage`. `before` and `back` are undisturbed: to where the verb makes sense, and from
    where it leads to where `before` begins. `hosts`: whose engines and workers are killed; "command": the operator's.

    `gone`: what the verb says, as VR-id, when a killed run had done its work. `starts`: it starts a worker.
    `devices`: it makes block devices, so it needs root and a kernel that has them.
    """

    name: str
    verb: str
    stage: str
    argv: tuple[str, ...]
    before: tuple[Action, ...] = ()
    back: tuple[Action, ...] = ()
    hosts: tuple[str, ...] = HOSTS
    gone: tuple[str, ...] = ()
    starts: bool = False
    devices: bool = False


def words(*argv: str, host: str = "") -> tuple[str, ...]:
    return ("-g", DG, *(("-H", host) if host else ()), "-s", *argv)


LONDON, TOKYO = ("london",), ("tokyo",)
CREATEPRI = words("createpri", RVG, "dv01,dv02", "srl", host="london")
DELPRI = words("delpri", RVG)
ADDSEC = words("addsec", RVG, "london", "tokyo", "encryption=off")
DELSEC = words("delsec", RVG, "tokyo")
SETUP = words("setup", RVG, "dv01,dv02", "srl", "london", "tokyo", "encryption=off")
START = words("-a", "startrep", RVG, "tokyo")
STOP = words("stoprep", RVG, "tokyo")
PAUSE = words("pauserep", RVG, "tokyo")
RESUME = words("resumerep", RVG, "tokyo")
EXPORT = words("export", "dv01", host="london")
UNEXPORT = words("-f", "unexport", "dv01", host="london")
MIGRATE = words("migrate", RVG, "tokyo")
HOME = words("migrate", RVG, "london")
TAKEOVER = words("takeover", RVG, "tokyo")
FORCED_TAKEOVER = words("-f", "takeover", RVG, "tokyo")
FORCED_RECOVER = words("-f", "recover", RVG)
FBSYNC = words("-w", "fbsync", RVG, "london")
ATTACH = words("attach", "dv01", host="london")
DETACH = words("detach", "dv01", host="london")
# London has written what Tokyo lacks, and is gone; then it returns to a Tokyo that reigns
DIVERGED = (PAUSE, "write_at_london", "london_goes", TAKEOVER, "london_returns_acting")
CONFLICT = (PAUSE, EXPORT, "london_engine_goes", "write_on", TAKEOVER, "london_engine_returns", "both_in_conflict")
AFTER_CONFLICT = ("settle", HOME, "settle", UNEXPORT, "resume_if_paused", "settle")


def cases(folder: Path) -> list[Case]:
    """In the order of the verb declaration."""
    host_add = ("host", "add", "oslo", f"local={folder / 'oslo'}")
    host_remove = ("-s", "host", "remove", "oslo")
    create = words("volume", "create", "dv03", "4m", host="london")
    destroy = words("volume", "destroy", "dv03", host="london")
    add = words("volume", "add", "dv03", str(folder / "more.london"), host="london")
    return [
        Case("host add", "host add", "volumes", host_add, back=(host_remove,), hosts=("command",)),
        Case("host remove", "host remove", "volumes", host_remove, (host_add,), hosts=("command",), gone=("VR-1100",)),
        Case("volume create", "volume create", "volumes", create, back=(destroy,), hosts=LONDON),
        Case("volume add", "volume add", "volumes", add, back=(destroy,), hosts=LONDON),
        Case("volume destroy", "volume destroy", "volumes", destroy, (create,), hosts=LONDON, gone=GONE),
        Case("volume destroy, an added one", "volume destroy", "volumes", destroy, (add,), hosts=LONDON, gone=GONE),
        Case("export", "export", "pair", EXPORT, back=(UNEXPORT,), hosts=LONDON),
        Case("unexport", "unexport", "pair", UNEXPORT, (EXPORT,), hosts=LONDON),
        Case("attach", "attach", "pair", ATTACH, back=(DETACH, UNEXPORT), hosts=LONDON, devices=True),
        Case("attach, mounted", "attach", "pair", (*ATTACH, f"mount={folder / 'mnt'}"), ("make_file_system",),
             (DETACH,), hosts=LONDON, devices=True),
        Case("detach", "detach", "pair", DETACH, (ATTACH,), hosts=LONDON, devices=True),
        Case("detach, mounted", "detach", "pair", DETACH,
             ("make_file_system", (*ATTACH, f"mount={folder / 'mnt'}")), hosts=LONDON, devices=True),
        Case("createpri", "createpri", "volumes", CREATEPRI, back=(DELPRI,), hosts=LONDON, starts=True),
        Case("addsec", "addsec", "primary", ADDSEC, back=(DELSEC,), starts=True),
        Case("delsec", "delsec", "primary", DELSEC, (ADDSEC,), gone=GONE),
        Case("delpri", "delpri", "volumes", DELPRI, (CREATEPRI,), hosts=LONDON, gone=GONE),
        Case("setup", "setup", "volumes", SETUP, back=("settle", STOP, DELSEC, DELPRI), starts=True),
        Case("set, of a link", "set", "pair", words("set", RVG, "tokyo", "synchronous=override"),
             back=(words("set", RVG, "tokyo", "synchronous=off"),)),
        Case("set, of the RVG", "set", "pair", words("set", RVG, "startup=ask-peers"),
             back=(words("set", RVG, "startup=serve"),)),
        Case("startrep -a", "startrep", "pair", START, (STOP,)),
        Case("startrep -b", "startrep", "pair", words("-b", "startrep", RVG, "tokyo"), (STOP,)),
        Case("startrep -f", "startrep", "pair", words("-f", "startrep", RVG, "tokyo"), (STOP,)),
        Case("stoprep", "stoprep", "pair", STOP, back=(START, "settle")),
        Case("pauserep", "pauserep", "pair", PAUSE, back=(RESUME, "settle")),
        Case("resumerep", "resumerep", "pair", RESUME, (PAUSE,)),
        Case("migrate", "migrate", "pair", MIGRATE, back=(HOME, "settle")),
        Case("takeover", "takeover", "pair", TAKEOVER, ("london_goes",),
             ("london_returns", "settle", HOME, "settle"), hosts=TOKYO),
        Case("takeover, with a mixture", "takeover", "pair", FORCED_TAKEOVER,
             ("rot_tokyo_log", "london_goes", FORCED_RECOVER),
             ("london_returns_acting", FBSYNC, "settle", HOME, "settle"), hosts=TOKYO),
        Case("fbsync", "fbsync", "pair", FBSYNC, DIVERGED, (HOME, "settle")),
        Case("makesec", "makesec", "pair", words("-f", "makesec", RVG, "tokyo", host="london"), CONFLICT,
             (FBSYNC, *AFTER_CONFLICT)),
        Case("elect", "elect", "pair", words("elect", RVG, "tokyo"), CONFLICT, AFTER_CONFLICT),
        Case("serve", "serve", "pair", words("serve", RVG),
             (words("set", RVG, "startup=ask-peers"), "tokyo_goes", "london_starts_anew"),
             ("tokyo_returns", "settle", words("set", RVG, "startup=serve")), hosts=LONDON),
        *_repairs(folder),
    ]


def _repairs(folder: Path) -> list[Case]:
    aslog = {host: tuple(words("aslog", RVG, name, host=host) for name in ("srl2", "srl")) for host in HOSTS}
    replace = {host: tuple(words("volume", "replace", "dv02", str(folder / f"{name}.{host}"), host=host)
                           for name in ("more", "added")) for host in HOSTS}
    fresh = words("volume", "replace", "dv01", host="london")
    again = ("settle", "start_if_stale", "settle")
    return [
        Case("recover", "recover", "pair", words("recover", RVG), ("break_volume",), ("settle",), hosts=LONDON,
             starts=True),
        Case("recover -f, of the Secondary", "recover", "pair", FORCED_RECOVER, ("rot_tokyo_log",), ("settle",),
             hosts=TOKYO, starts=True),
        Case("recover -f, of the Primary", "recover", "pair", FORCED_RECOVER, ("rot_london_log",), again, hosts=LONDON,
             starts=True),
        Case("aslog, another volume", "aslog", "pair", aslog["london"][0], back=(*again, aslog["london"][1], *again),
             hosts=LONDON, starts=True),
        Case("aslog, the same volume", "aslog", "pair", aslog["london"][1], back=again, hosts=LONDON, starts=True),
        Case("aslog, of the Secondary", "aslog", "pair", aslog["tokyo"][0], back=(*again, aslog["tokyo"][1], *again),
             hosts=TOKYO, starts=True),
        Case("volume replace", "volume replace", "pair", replace["london"][0],
             back=(*again, replace["london"][1], *again), hosts=LONDON, starts=True),
        Case("volume replace, a fresh file", "volume replace", "pair", fresh, ("lose_volume",), again, hosts=LONDON,
             starts=True),
        Case("volume replace, of the Secondary", "volume replace", "pair", replace["tokyo"][0],
             back=(*again, replace["tokyo"][1], *again), hosts=TOKYO, starts=True),
        Case("engine rebuild", "engine rebuild", "pair", ("-s", "-H", "london", "engine", "rebuild"), ("lose_store",),
             ("settle",)),
    ]
