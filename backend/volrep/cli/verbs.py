"""The verbs: one table from which parsing, help, usage errors and completion derive. Pure.

Knows what can be typed. Handlers are named, not imported: a command imports no more than it needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from volrep.model.attributes import AVAILABLE, LINK_ATTRIBUTES


class Kind(StrEnum):
    """What a word stands for: completion asks the hosts for it."""

    RVG = "rvg"
    HOST = "host"
    SECONDARY = "secondary"
    VOLUME = "volume"
    VOLUMES = "volumes"  # comma-separated
    DG = "dg"
    CHOICE = "choice"
    PATH = "path"
    VERB = "verb"
    TEXT = "text"


class Reach(StrEnum):
    """Which of -g and -H mean something to a verb."""

    NONE = "none"
    HOST = "host"  # -H
    GROUP = "group"  # -g and -H


@dataclass(frozen=True, slots=True)
class Argument:
    name: str
    kind: Kind = Kind.TEXT
    required: bool = True
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Key:
    """One attribute=value that a verb takes."""

    name: str
    help: str
    values: tuple[str, ...] = ()
    kind: Kind = Kind.TEXT


@dataclass(frozen=True, slots=True)
class Option:
    """`value` is the metavariable of what follows; empty: a flag. `name` is how handlers ask for it."""

    name: str
    flags: tuple[str, ...]
    help: str
    value: str = ""
    kind: Kind = Kind.TEXT
    number: bool = False
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verb:
    """`options` are accepted beside those that `reach` and `changes` bring. `words`: any number of further arguments."""

    name: str
    group: str
    summary: str
    handler: str  # "module:function"
    arguments: tuple[Argument, ...] = ()
    options: tuple[str, ...] = ()
    keys: tuple[Key, ...] = ()
    link_attributes: bool = False
    reach: Reach = Reach.GROUP
    changes: bool = False
    shows: bool = True  # has something to say with --json
    words: bool = False

    @property
    def accepted(self) -> frozenset[str]:
        """Names of all options that mean something here."""
        names = {"help", *self.options}
        names |= {"group", "host"} if self.reach is Reach.GROUP else {"host"} if self.reach is Reach.HOST else set()
        names |= {"dry_run", "silent"} if self.changes else set()
        return frozenset(names | ({"json"} if self.shows else set()))

    @property
    def key_names(self) -> tuple[str, ...]:
        return AVAILABLE if self.link_attributes else tuple(key.name for key in self.keys)

    @property
    def all_keys(self) -> tuple[Key, ...]:
        if self.link_attributes:
            return tuple(Key(name, LINK_ATTRIBUTES[name].help, LINK_ATTRIBUTES[name].values) for name in AVAILABLE)
        return self.keys

    @property
    def takes_keys(self) -> bool:
        return self.link_attributes or bool(self.keys)

    @property
    def required(self) -> int:
        return sum(argument.required for argument in self.arguments)


OPTIONS: dict[str, Option] = {o.name: o for o in (
    Option("group", ("-g",), "the disk group", "DG", Kind.DG),
    Option("host", ("-H",), "the host where the verb acts", "HOST", Kind.HOST),
    Option("json", ("--json",), "results as JSON"),
    Option("dry_run", ("--dry-run",), "show the plan, change nothing"),
    Option("silent", ("-s",), "do not ask for confirmation"),
    Option("force", ("-f",), "force"),
    Option("autosync", ("-a",), "copy everything that is in use while applications run"),
    Option("blank", ("-b",), "both sides are blank: nothing is copied"),
    Option("checkpoint", ("-c",), "start from a checkpoint", "CHECKPOINT"),
    Option("long", ("-l",), "show more"),
    Option("wait", ("-w",), "wait until it is done, with progress"),
    Option("follow", ("--follow",), "go on with what happens from now on"),
    Option("limit", ("--limit",), "show at most this many", "COUNT", number=True),
    Option("from_lsn", ("--from",), "begin at this LSN", "LSN", number=True),
    Option("state", ("--state",), "state directory of the engine", "DIR", Kind.PATH),
    Option("name", ("--name",), "name of this host's engine, kept at the first start", "NAME"),
    Option("listen", ("--listen",), "address of the replication port", "ADDRESS"),
    Option("port", ("--port",), "replication port, kept at the first start; 0: the kernel chooses", "PORT",
           number=True),
    Option("log_level", ("--log-level",), "what is logged on stderr", "LEVEL", Kind.CHOICE,
           choices=("debug", "info", "warning", "error")),
    Option("plain", ("--plain",), "line mode, for dumb terminals and screen readers"),
    Option("headless", ("--headless",), "without the console"),
    Option("seconds", ("--seconds",), "how long the writer runs", "SECONDS", number=True),
    Option("keep", ("--keep",), "leave what was made"),
    Option("help", ("--help", "-h"), "say how the verb is used"),
    Option("version", ("--version",), "say which version this is"),
)}
ANYWHERE = frozenset({"help", "version"})

_RVG = Argument("RVG", Kind.RVG)
_ANY_RVG = Argument("RVG", Kind.RVG, required=False)
_SECONDARY = Argument("SECONDARY", Kind.SECONDARY)
_ANY_SECONDARY = Argument("SECONDARY", Kind.SECONDARY, required=False)
_VOLUME = Argument("VOLUME", Kind.VOLUME)
_HOST = Argument("HOST", Kind.HOST)
_HOST_KEYS = (Key("ssh", "[user@]address[:port]; without it the name, as ~/.ssh/config has it"),
              Key("address", "address of its replication port, if another than that of SSH"),
              Key("local", "state directory of an engine on this machine, instead of ssh", kind=Kind.PATH))
_RDS = "volrep.cli.rds_verbs"
_HOSTS = "volrep.cli.host_verbs"
_ENGINE = "volrep.cli.engine_verbs"
_VOLUMES = "volrep.cli.volume_verbs"
_ACCESS = "volrep.cli.access_verbs"
_WATCH = "volrep.cli.watch_verbs"

VERBS: dict[str, Verb] = {v.name: v for v in (
    # hosts
    Verb("host add", "hosts", "enter a host in the inventory", f"{_HOSTS}:add", (Argument("NAME"),),
         keys=_HOST_KEYS, reach=Reach.NONE, changes=True),
    Verb("host list", "hosts", "hosts of the inventory, and whether they answer", f"{_HOSTS}:list_hosts",
         reach=Reach.NONE),
    Verb("host check", "hosts", "try to reach one or all hosts, and say what is wrong", f"{_HOSTS}:check",
         (Argument("HOST", Kind.HOST, required=False),), reach=Reach.NONE),
    Verb("host install", "hosts", "put volrep on a host over SSH and start its engine",
         "volrep.cli.host_install:install", (_HOST,), keys=_HOST_KEYS[:2], reach=Reach.NONE, changes=True),
    Verb("host remove", "hosts", "take a host out of the inventory", f"{_HOSTS}:remove", (_HOST,), ("force",),
         reach=Reach.NONE, changes=True),
    # volumes
    Verb("volume create", "volumes", "create a volume", f"{_VOLUMES}:create", (Argument("NAME"), Argument("SIZE")),
         keys=(Key("directory", "where its file goes", kind=Kind.PATH),), changes=True),
    Verb("volume add", "volumes", "take an existing file or block device as a volume", f"{_VOLUMES}:add",
         (Argument("NAME"), Argument("PATH", Kind.PATH)), changes=True),
    Verb("volume list", "volumes", "volumes of all hosts", f"{_VOLUMES}:list_volumes"),
    Verb("volume destroy", "volumes", "destroy a volume; the file of one that was added stays",
         f"{_VOLUMES}:destroy", (_VOLUME,), changes=True),
    # access
    Verb("export", "access", "offer a data volume to applications over NBD", f"{_ACCESS}:export", (_VOLUME,),
         keys=(Key("listen", "unix:PATH or tcp:ADDRESS:PORT; default: a unix socket"),), changes=True),
    Verb("unexport", "access", "withdraw the exports of a volume", f"{_ACCESS}:unexport", (_VOLUME,), ("force",),
         changes=True),
    Verb("exports", "access", "exported volumes and who uses them", f"{_ACCESS}:exports"),
    Verb("attach", "access", "make a block device of a data volume", f"{_ACCESS}:attach", (_VOLUME,),
         keys=(Key("mount", "directory to mount it on", kind=Kind.PATH),), changes=True),
    Verb("detach", "access", "take the block device of a volume away", f"{_ACCESS}:detach", (_VOLUME,), changes=True),
    # RDS
    Verb("createpri", "RDS", "make an RVG of volumes and an SRL: the Primary of a new RDS", f"{_RDS}:createpri",
         (Argument("RVG"), Argument("VOLUME,...", Kind.VOLUMES), Argument("SRL", Kind.VOLUME)), changes=True),
    Verb("addsec", "RDS", "add a Secondary on another host", f"{_RDS}:addsec",
         (_RVG, Argument("PRIMARY", Kind.HOST), Argument("SECONDARY", Kind.HOST)), link_attributes=True, changes=True),
    Verb("delsec", "RDS", "remove a Secondary; its volumes keep their data", f"{_RDS}:delsec", (_RVG, _ANY_SECONDARY),
         ("force",), changes=True),
    Verb("delpri", "RDS", "remove the Primary; its volumes keep their data", f"{_RDS}:delpri", (_RVG,), ("force",),
         changes=True),
    Verb("setup", "RDS", "createpri, addsec and startrep -a in one", f"{_RDS}:setup",
         (Argument("RVG"), Argument("VOLUME,...", Kind.VOLUMES), Argument("SRL", Kind.VOLUME),
          Argument("PRIMARY", Kind.HOST), Argument("SECONDARY", Kind.HOST)), ("wait",), link_attributes=True,
         changes=True),
    Verb("set", "RDS", "change attributes of the link to one Secondary, or to all", f"{_RDS}:set_attributes",
         (_RVG, _ANY_SECONDARY), link_attributes=True, changes=True),
    Verb("printrvg", "RDS", "configuration of one or all RDS", f"{_RDS}:printrvg", (_ANY_RVG,), ("long",)),
    Verb("printvol", "RDS", "volumes of one or all RDS", f"{_RDS}:printvol", (_ANY_RVG,), ("long",)),
    Verb("repstatus", "RDS", "state of the replication of one or all RDS", f"{_RDS}:repstatus", (_ANY_RVG,),
         ("long",)),
    # replication
    Verb("startrep", "replication", "start replication to a Secondary", f"{_RDS}:startrep", (_RVG, _ANY_SECONDARY),
         ("autosync", "blank", "checkpoint", "force", "wait"), changes=True),
    Verb("stoprep", "replication", "stop replication: the Secondary goes STALE", f"{_RDS}:stoprep",
         (_RVG, _ANY_SECONDARY), ("force",), changes=True),
    Verb("pauserep", "replication", "pause: the SRL keeps what the Secondary misses", f"{_RDS}:pauserep",
         (_RVG, _ANY_SECONDARY), changes=True),
    Verb("resumerep", "replication", "go on after a pause", f"{_RDS}:resumerep", (_RVG, _ANY_SECONDARY),
         changes=True),
    # watching
    Verb("events", "watching", "what happened on the hosts", f"{_WATCH}:events", (_ANY_RVG,), ("follow", "limit")),
    Verb("log dump", "watching", "records of an SRL, without their payloads", f"{_WATCH}:log_dump", (_RVG,),
         ("from_lsn", "limit")),
    # engine
    Verb("engine run", "engine", "run the engine of this host in the foreground", f"{_ENGINE}:run", (),
         ("state", "name", "listen", "port", "log_level"), reach=Reach.NONE, shows=False),
    Verb("engine status", "engine", "engines of all hosts", f"{_ENGINE}:status", (), ("state",), reach=Reach.HOST),
    Verb("engine connect", "engine", "join stdin and stdout to the local engine: what SSH runs",
         f"{_ENGINE}:connect", (), ("state",), reach=Reach.NONE, shows=False),
    Verb("engine stop", "engine", "stop the workers of an engine cleanly, then the engine", f"{_ENGINE}:stop", (),
         ("state",), reach=Reach.HOST, changes=True),
    # the program itself
    Verb("console", "volrep", "the console, or one of its screens", f"{_ENGINE}:console",
         (Argument("FASTPATH", required=False),), ("plain",), reach=Reach.NONE, shows=False),
    Verb("demo", "volrep", "two engines on this machine, a pair that replicates, and the console on it",
         "volrep.cli.demo:demo", (), ("headless", "seconds", "keep", "plain"), reach=Reach.NONE),
    Verb("help", "volrep", "how a verb is used", "volrep.cli.help:help_verb",
         (Argument("VERB", Kind.VERB, required=False),), words=True, reach=Reach.NONE, shows=False),
    Verb("completion", "volrep", "the completion script of a shell", "volrep.cli.completion:script",
         (Argument("SHELL", Kind.CHOICE, choices=("bash", "zsh", "fish")),), reach=Reach.NONE, shows=False),
)}
