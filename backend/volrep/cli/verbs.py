"""The verbs: one table from which parsing, help, usage errors and completion derive. Pure.

Knows what can be typed. Handlers are named, not imported: a command imports no more than it needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from volrep.model.attributes import AVAILABLE, LINK_ATTRIBUTES, RVG_ATTRIBUTES


@dataclass(frozen=True, slots=True)
class Argument:
    """A word by its place. `kind` says what completion offers, `choices` all that may be written; `many`: the rest."""

    name: str
    kind: str = "text"  # rvg host secondary volume volumes dg path verb text
    required: bool = True
    many: bool = False
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Option:
    """`name` is how handlers ask for it. Without a `metavar` it is a flag."""

    name: str
    flags: tuple[str, ...]
    help: str
    metavar: str = ""
    kind: str = "text"
    choices: tuple[str, ...] = ()

    @property
    def flag(self) -> bool:
        return not self.metavar


@dataclass(frozen=True, slots=True)
class Key:
    """One attribute=value that a verb takes; `values` are all that may be written, empty: free form."""

    help: str
    values: tuple[str, ...] = ()
    kind: str = "text"


@dataclass(frozen=True, slots=True)
class Verb:
    """`options` are accepted beside COMMON. `confirm` is asked before it is done, filled by the handler."""

    name: str
    group: str
    summary: str
    handler: str  # "module:function" in volrep.cli
    arguments: tuple[Argument, ...] = ()
    options: tuple[Option, ...] = ()
    keys: Mapping[str, Key] = field(default_factory=dict)
    confirm: str = ""
    typed: str = ""  # what has to be typed instead of y, filled as `confirm`
    details: str = ""
    hidden: bool = False

    @property
    def usage(self) -> str:
        """As an operator types it: `volrep [-g DG] [-a] startrep RVG [SECONDARY] [attribute=value ...]`."""
        words = ["volrep", "[-g DG]", "[-H HOST]"]
        words += [f"[{option.flags[0]}{f' {option.metavar}' if option.metavar else ''}]" for option in self.options]
        words.append(self.name)
        for argument in self.arguments:
            word = "|".join(argument.choices) or argument.name.upper()
            word += " ..." if argument.many else ""
            words.append(word if argument.required else f"[{word}]")
        words += [f"[{name}=...]" for name in self.keys]
        return " ".join(words)


_GROUP = Option("dg", ("-g",), "the disk group", "DG", "dg")
_ON = Option("host", ("-H",), "the host where the verb acts, or which breaks a tie", "HOST", "host")
_FORCE = Option("force", ("-f",), "force it")
_AUTOSYNC = Option("autosync", ("-a",), "copy everything that is in use, while applications run")
_BLANK = Option("blank", ("-b",), "both sides are blank: nothing is copied")
_CHECKPOINT = Option("checkpoint", ("-c",), "start from a checkpoint", "CHECKPOINT")
_LONG = Option("long", ("-l",), "show more")
_WAIT = Option("wait", ("-w", "-wait"), "wait until it is done, with progress")
_DRAIN = Option("drain", ("--drain",), "cut off applications that have the volumes open")
_AUTOFB = Option("autofb", ("-autofb",), "when the old Primary returns, copy back to it without being told")
_NO_FAILBACK = Option("no_failback", ("-N",), "keep no account of what differs: the old Primary will not return")
_REGIONS = Option("regions", ("--regions",), "list the regions too")
_CANDIDATES = Option("candidates", ("--candidates",), "show which Secondary is the best, change nothing")

COMMON = (
    _GROUP, _ON,
    Option("json", ("--json",), "results as JSON"),
    Option("dry_run", ("--dry-run",), "show the plan, change nothing"),
    Option("silent", ("-s",), "do not ask for confirmation"),
)
"""Accepted with every verb, before and behind it."""

EARLY = (_FORCE, _AUTOSYNC, _BLANK, _CHECKPOINT, _LONG, _WAIT, _DRAIN, _AUTOFB, _NO_FAILBACK, _CANDIDATES, _REGIONS)
"""Options which may stand before the verb too, as VVR's do; each verb says which of them it takes."""

_STATE = Option("state", ("--state",), "state directory of the engine", "DIR", "path")
_ENGINE_RUN = (
    _STATE,
    Option("name", ("--name",), "name of this host's engine, kept from the first start", "NAME"),
    Option("listen", ("--listen",), "address of the replication port", "ADDRESS"),
    Option("port", ("--port",), "replication port, kept from the first start; 0: the kernel chooses", "PORT"),
    Option("hooks", ("--hooks",), "programs that role changes run; without it hooks/ beside the inventory", "DIR",
           "path"),
    Option("hook_timeout", ("--hook-timeout",), "how long one of them may take", "SECONDS"),
    Option("log_level", ("--log-level",), "what is logged on stderr", "LEVEL", "choice",
           ("debug", "info", "warning", "error")),
)
_LIMIT = Option("limit", ("--limit",), "show at most this many", "COUNT")
_PLAIN = Option("plain", ("--plain",), "line mode, for dumb terminals and screen readers")

_RVG = Argument("rvg", "rvg")
_ANY_RVG = Argument("rvg", "rvg", required=False)
_NEW_RVG = Argument("rvg")
_PRIMARY = Argument("primary", "host")
_SECONDARY = Argument("secondary", "host")
_HOST = Argument("name", "host")
_ANY_SECONDARY = Argument("secondary", "secondary", required=False)
_VOLUME = Argument("volume", "volume")
_MEMBERS = (Argument("volumes", "volumes"), Argument("srl", "volume"))
_LINK = {name: Key(LINK_ATTRIBUTES[name].help, LINK_ATTRIBUTES[name].values) for name in AVAILABLE}
_OWN = {name: Key(own.help, own.values) for name, own in RVG_ATTRIBUTES.items()}
_SSH = {"ssh": Key("[user@]address[:port]; without it the name, as ~/.ssh/config has it"),
        "address": Key("address of its replication port, if another than that of SSH")}

TABLE = (
    # hosts
    Verb("host add", "hosts", "enter a host in the inventory", "host_verbs:add", (Argument("name"),),
         keys={**_SSH, "local": Key("state directory of an engine on this machine, instead of ssh", kind="path")}),
    Verb("host list", "hosts", "hosts of the inventory, and whether they answer", "host_verbs:list_hosts"),
    Verb("host check", "hosts", "try to reach one or all hosts, and say what is wrong", "host_verbs:check",
         (Argument("name", "host", required=False),)),
    Verb("host install", "hosts", "put volrep on a host over SSH and start its engine", "host_install:install",
         (_HOST,), keys=_SSH,
         details="Everything is carried over SSH; the host needs Python and no way to the internet. "
                 "On a host that has volrep it is an upgrade."),
    Verb("host remove", "hosts", "take a host out of the inventory", "host_verbs:remove",
         (_HOST,), (_FORCE,),
         confirm="host {host} will be taken out of the inventory; the host itself stays as it is"),
    # volumes
    Verb("volume create", "volumes", "create a volume", "volume_verbs:create",
         (Argument("name"), Argument("size")), keys={"directory": Key("where its file goes", kind="path")}),
    Verb("volume add", "volumes", "take an existing file or block device as a volume", "volume_verbs:add",
         (Argument("name"), Argument("path", "path"))),
    Verb("volume list", "volumes", "volumes of all hosts", "volume_verbs:list_volumes"),
    Verb("volume destroy", "volumes", "destroy a volume; the file of an added one stays", "volume_verbs:destroy",
         (_VOLUME,), typed="{volume}",
         confirm="volume {volume} of disk group {dg} on {host} will be destroyed, {what}"),
    # access
    Verb("export", "access", "offer a data volume to applications over NBD", "access_verbs:export", (_VOLUME,),
         keys={"listen": Key("unix:PATH or tcp:ADDRESS:PORT; without it a unix socket of the engine's")}),
    Verb("unexport", "access", "withdraw the exports of a volume", "access_verbs:unexport", (_VOLUME,), (_FORCE,)),
    Verb("exports", "access", "exported volumes, and who uses them", "access_verbs:exports"),
    Verb("attach", "access", "make a block device of a data volume", "access_verbs:attach", (_VOLUME,),
         keys={"mount": Key("directory to mount it on", kind="path")}),
    Verb("detach", "access", "take the block device of a volume away", "access_verbs:detach", (_VOLUME,)),
    # RDS
    Verb("createpri", "RDS", "make an RVG of volumes and an SRL: the Primary of a new RDS", "rds_verbs:createpri",
         (_NEW_RVG, *_MEMBERS), details="VOLUMES is comma-separated; their order is the same on every host."),
    Verb("addsec", "RDS", "add a Secondary on another host", "rds_verbs:addsec", (_RVG, _PRIMARY, _SECONDARY),
         keys=_LINK, details="Volumes and SRL of the same names must exist there, volumes of the same sizes."),
    Verb("delsec", "RDS", "remove a Secondary; its volumes keep their data", "rds_verbs:delsec",
         (_RVG, _ANY_SECONDARY), (_FORCE,),
         confirm="{host} will be no Secondary of RVG {rvg} any more; its volumes keep their data"),
    Verb("delpri", "RDS", "remove the Primary; its volumes keep their data", "rds_verbs:delpri", (_RVG,), (_FORCE,),
         confirm="RVG {rvg} of disk group {dg} on {host} will be removed; its volumes keep their data", typed="{rvg}"),
    Verb("setup", "RDS", "createpri, addsec and startrep -a in one", "rds_verbs:setup",
         (_NEW_RVG, *_MEMBERS, _PRIMARY, _SECONDARY), (_WAIT,), keys=_LINK),
    Verb("set", "RDS", "change attributes of the RVG, or of the link to one Secondary or to all",
         "rds_verbs:set_attributes", (_RVG, _ANY_SECONDARY), keys=_LINK | _OWN),
    Verb("printrvg", "RDS", "configuration of one or all RDS", "rds_verbs:printrvg", (_ANY_RVG,), (_LONG,)),
    Verb("printvol", "RDS", "volumes of one or all RDS", "rds_verbs:printvol", (_ANY_RVG,)),
    Verb("repstatus", "RDS", "state of the replication of an RDS", "rds_verbs:repstatus", (_RVG,), (_LONG,)),
    # replication
    Verb("startrep", "replication", "start replication to a Secondary", "rds_verbs:startrep", (_RVG, _ANY_SECONDARY),
         (_AUTOSYNC, _BLANK, _CHECKPOINT, _FORCE, _WAIT), typed="{host}",
         confirm="{host} goes back to the reign that RVG {rvg} has now; given up: {lost}",
         details="-a copies everything while applications run, -b says both sides are blank, -f says they are "
                 "identical already. It returns at once; -w waits until the Secondary is consistent."),
    Verb("stoprep", "replication", "stop replication: the Secondary goes STALE", "rds_verbs:stoprep",
         (_RVG, _ANY_SECONDARY),
         confirm="replication of RVG {rvg} to {host} will stop; to start it again takes a synchronization"),
    Verb("pauserep", "replication", "pause: the SRL keeps what the Secondary misses", "rds_verbs:pauserep",
         (_RVG, _ANY_SECONDARY)),
    Verb("resumerep", "replication", "go on after a pause", "rds_verbs:resumerep", (_RVG, _ANY_SECONDARY)),
    # roles
    Verb("validate", "roles", "which host could become the Primary now, and what is in the way", "role_verbs:validate",
         (_RVG,), details="Exit code 3 when a Secondary is not ready for migrate or for takeover."),
    Verb("migrate", "roles", "move the Primary role to another host: planned, nothing is lost", "role_verbs:migrate",
         (_RVG, Argument("primary", "secondary")), (_DRAIN,),
         confirm="the Primary role of RVG {rvg} will move from {old} to {host}",
         details="From any host. Everybody follows without a copy. When it fails before the new Primary has been "
                 "promoted, everything is as it was; afterwards the same command again does what is missing."),
    Verb("takeover", "roles", "make a Secondary the Primary because the Primary is lost", "role_verbs:takeover",
         (_RVG, _ANY_SECONDARY), (_AUTOFB, _NO_FAILBACK, _FORCE, _CANDIDATES),
         confirm="{host} will be the Primary of RVG {rvg}. Lost: {lost}", typed="{host}",
         details="It says what is known to be lost. -f although the Primary is alive: then there may be two, until "
                 "`elect` settles it; or with what `recover -f` has left of a damaged log."),
    Verb("fbsync", "roles", "bring an old Primary back: copy to it what differs", "role_verbs:fbsync",
         (_RVG, _ANY_SECONDARY), (_WAIT,), typed="{host}",
         confirm="{host} will get what it lacks from the Primary; {lost}",
         details="Exactly the regions that either side has written since the fork. Afterwards: migrate."),
    Verb("makesec", "roles", "make a Primary give way to another Primary", "role_verbs:makesec",
         (_RVG, Argument("primary", "host")), (_FORCE,),
         confirm="{loser} will not be a Primary of RVG {rvg} any more; {host} stays it. {lost}", typed="{host}",
         details="-H names the one that gives way. -f: also when its volumes are open, which are cut off."),
    Verb("elect", "roles", "settle a Primary-Primary configuration: this host survives", "role_verbs:elect",
         (_RVG, Argument("primary", "host")), (_WAIT,),
         confirm="{host} stays the Primary of RVG {rvg}, {losers} will follow it. Lost: {lost}", typed="{host}",
         details="What the others wrote since the fork is overwritten; `divergence` lists it."),
    Verb("serve", "roles", "let a Primary serve that still waits for the other hosts", "role_verbs:serve", (_RVG,),
         confirm="{host} will serve RVG {rvg} without knowing whether another host has taken over meanwhile",
         typed="{host}"),
    Verb("divergence", "roles", "what a host wrote that the Primary does not have", "role_verbs:divergence",
         (_RVG, _ANY_SECONDARY), (_REGIONS, _LIMIT,
                                  Option("after", ("--after",), "go on behind this region", "NUMBER"))),
    Verb("firedrill", "roles", "try a takeover on snapshots of a Secondary (not in this version)",
         "role_verbs:firedrill", (_RVG, _ANY_SECONDARY)),
    # recovery
    Verb("recover", "recovery", "try again what is in FAIL, after its repair", "recover_verbs:recover", (_RVG,),
         (Option("force", ("-f",), "go on without what is damaged, as `repstatus` says it"),),
         confirm="{host}: {found}. Without it RVG {rvg} gives up: {lost}", typed="{rvg}",
         details="Opens the RVG anew on -H, or on every host where it is in FAIL: its files are opened again and the "
                 "SRL is replayed. -f only where something can be given up; it says what."),
    Verb("aslog", "recovery", "give an RVG a new SRL, on another volume or on the same", "recover_verbs:aslog",
         (_RVG, Argument("srl", "volume")), (_FORCE,),
         confirm="RVG {rvg} on {host} gets an empty SRL on {srl}: {lost}", typed="{rvg}",
         details="After a clean stop of the RVG nothing is lost: the new SRL goes on where the old one ended. "
                 "-f: also while applications use the RVG; their connections break for a moment."),
    Verb("volume replace", "recovery", "another file or device in the place of a broken data volume",
         "recover_verbs:replace", (_VOLUME, Argument("path", "path", required=False)), (_FORCE,),
         confirm="{what} takes the place of volume {volume} on {host}: what was on it, and what the SRL has for it, "
                 "is LOST there, and all links of its RVG become STALE", typed="{volume}",
         details="As large as the volume was. Without PATH a fresh file is made where the old one was. What is on PATH "
                 "stays, a restored backup for instance; the SRL is not replayed onto it."),
    # watching
    Verb("events", "watching", "what happened on the hosts", "watch_verbs:events", (_ANY_RVG,),
         (Option("follow", ("--follow",), "go on with what happens from now on"), _LIMIT)),
    Verb("history", "watching", "who changed the configuration, and when", "watch_verbs:history", (_ANY_RVG,)),
    Verb("log dump", "watching", "records of an SRL, without their payloads", "watch_verbs:log_dump", (_RVG,),
         (Option("from_lsn", ("--from",), "begin at this LSN", "LSN"), _LIMIT)),
    # engine
    Verb("engine run", "engine", "run the engine of this host in the foreground", "engine_verbs:run", (),
         _ENGINE_RUN),
    Verb("engine status", "engine", "engines of all hosts", "engine_verbs:status"),
    Verb("engine connect", "engine", "join stdin and stdout to the local engine: what SSH runs",
         "engine_verbs:connect", (), (_STATE,)),
    Verb("engine rebuild", "engine", "put a damaged or lost configuration of an engine together again",
         "rebuild_verbs:rebuild",
         keys={"from": Key("copy: while it is intact; parts: workers and SRL headers", ("copy", "parts")),
               "search": Key("files, devices or directories with SRLs, separated by commas")},
         confirm="the configuration of {host} will be made anew from {source}",
         details="From the copy that the engine keeps beside its configuration, else from its living workers and the "
                 "headers of its SRLs; links are made known to the other hosts again, with new keys. --dry-run shows "
                 "what would be there and what stays lost. An engine that lost only its certificate needs it, too."),
    Verb("engine stop", "engine", "stop the workers of an engine cleanly, then the engine", "engine_verbs:stop",
         confirm="the engine of {host} and its RVGs will stop, and the applications that use them"),
    # the program itself
    Verb("console", "volrep", "the console, or one of its screens", "engine_verbs:console",
         (Argument("fastpath", required=False),), (_PLAIN,)),
    Verb("demo", "volrep", "a pair that replicates, on this machine, and the console on it", "demo:demo", (),
         (Option("headless", ("--headless",), "without the console"),
          Option("seconds", ("--seconds",), "how long the writer runs", "SECONDS"),
          Option("keep", ("--keep",), "leave what was made"), _PLAIN)),
    Verb("help", "volrep", "all verbs, or how one is used", "help_verbs:help_verb",
         (Argument("verb", "verb", required=False, many=True),)),
    Verb("completion", "volrep", "the completion script of a shell", "help_verbs:completion",
         (Argument("shell", choices=("bash", "zsh", "fish")),)),
)

VERBS: dict[str, Verb] = {verb.name: verb for verb in TABLE}
