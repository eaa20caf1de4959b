"""Messages: hosts."""

from volrep.model.errors import Exit, Message

HOST_UNKNOWN = Message(1100, "host {host} is not in the inventory",
                       "hosts: {known}; `volrep host add {host}` adds it", Exit.USAGE)
HOST_DIFFERS = Message(1101, "host {host} is in the inventory with other values: {found}",
                       "remove it first: `volrep host remove {host}`", Exit.REFUSED)
INVENTORY_DAMAGED = Message(1102, "the inventory {path} cannot be read: {reason}",
                            "correct the file, or move it away to start empty", Exit.FAILED)
INVENTORY_UNWRITABLE = Message(1103, "the inventory {path} cannot be written: {reason}",
                               "check the directory, or name another with VOLREP_CONFIG_DIR", Exit.FAILED)
BAD_SSH = Message(1104, "{value!r} is not an SSH address", "write [user@]address[:port], IPv6 as [address]:port",
                  Exit.USAGE)
SSH_AND_LOCAL = Message(1105, "host {host} is given both ssh= and local=", "give one of them", Exit.USAGE)
NAME_DIFFERS = Message(1106, "the engine on host {host} is named {found}",
                       "add the host under the name of its engine: `volrep host add {found}`", Exit.REFUSED)
BAD_ADDRESS = Message(1107, "{value!r} is not a replication address", "write a host name or an IP address", Exit.USAGE)
HOST_IN_USE = Message(1108, "host {host} has {rvgs}",
                      "remove it from its RDS first, or force it with -f: only the inventory changes", Exit.REFUSED)
LOCAL_NOT_ABSOLUTE = Message(1109, "{value!r} is not an absolute path", "name the engine's state directory from /",
                             Exit.USAGE)

UNREACHABLE = Message(1110, "host {host} ({address}) cannot be reached: {reason}",
                      "check with `ssh {ssh}`; `volrep host check` tries all hosts", Exit.UNREACHABLE)
KEY_UNKNOWN = Message(1111, "host {host} ({address}) shows an unknown host key: {kind} {fingerprint}",
                      "compare it with `ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub` there, then accept it by "
                      "`ssh {ssh}`", Exit.UNREACHABLE)
KEY_CHANGED = Message(1112, "host {host} ({address}) shows another host key than before: {kind} {fingerprint}",
                      "somebody may be in between; if the host was set up anew: `ssh-keygen -R {known_as}`, then "
                      "accept the new key by `ssh {ssh}`", Exit.UNREACHABLE)
AUTH_FAILED = Message(1113, "host {host} ({address}) does not let {user} in: {reason}",
                      "put your key there (`ssh-copy-id {ssh}`) or load it into the agent (`ssh-add`)",
                      Exit.UNREACHABLE)
NO_VOLREP = Message(1114, "host {host} has no volrep", "`volrep host install {host}` puts it there", Exit.UNREACHABLE)
NO_PYTHON = Message(1115, "host {host} has no Python {wanted} or newer{found}",
                    "install python3 there with its package manager; nothing was changed", Exit.REFUSED)
ENGINE_DOWN = Message(1116, "no engine runs on host {host}: {reason}",
                      "start it there: `systemctl start volrep`, or `volrep engine run`", Exit.UNREACHABLE)
HOST_SILENT = Message(1117, "host {host} did not answer within {timeout_s} s", "`volrep host check {host}` says more",
                      Exit.UNREACHABLE)
CONNECT_FAILED = Message(1118, "host {host}: `{command}` failed: {reason}",
                         "try it there by hand; `volrep host install {host}` repairs an installation",
                         Exit.UNREACHABLE)
SSH_CONFIG_BAD = Message(1119, "the SSH configuration cannot be used: {reason}", "correct ~/.ssh/config", Exit.FAILED)

INSTALL_STEP = Message(1120, "installing on host {host} failed while {step}: {reason}",
                       "what was changed there was undone; run it again when the cause is gone", Exit.FAILED)
INSTALL_NO_WHEEL = Message(1121, "no build of {name} {version} for Python {python} on {machine} can be had: {reason}",
                           "use the operator's Python version ({own}) on that host, or give this machine a package "
                           "registry; nothing was changed there", Exit.REFUSED)
INSTALL_LOCAL = Message(1122, "host {host} is an engine of this machine; volrep is installed here",
                        "install is for hosts with ssh=", Exit.REFUSED)
INSTALL_ARCHITECTURE = Message(1124, "host {host} is not Linux with glibc or musl on a known machine: {found}",
                               "volrep runs on Linux", Exit.REFUSED)
NO_ROOM = Message(1125, "host {host} has {free_bytes} bytes free in {directory}, {size_bytes} are needed",
                  "free space there; nothing was changed", Exit.REFUSED)

INSTALL_LEFT = Message(1150, "installing on host {host} failed while {step}: {reason}; not undone: {left}",
                       "put right what is left there by hand, then run it again", Exit.PARTIAL)
INSTALL_UNCLEAR = Message(1151, "host {host} gave no clear answer to `{step}` of the installation: {reason}",
                          "run it again: it finishes or undoes what it finds", Exit.FAILED)
