#!/usr/bin/env bash
# The system packages that volrep's own commands need: checks each tool, installs what is missing.
#
#   packaging/setup-system.sh run     what `make run` needs
#   packaging/setup-system.sh test    what the tests need as well
#   packaging/setup-system.sh bench   what the measurements need as well
#
# As root on Debian, Ubuntu, Fedora and their relatives it installs what is missing; otherwise it prints
# what is missing and the command that root would run, and exits 1. With everything there it takes a few
# milliseconds and changes nothing. It reads no input.
set -euo pipefail

want="${1:-run}"
case "$want" in
    run | test | bench) ;;
    *) echo "usage: $0 run|test|bench" >&2; exit 2 ;;
esac

# level  tool (a command, or a check function)  package on Debian  package on Fedora  what for
# "required" tools end the script when they cannot be had; "useful" ones only print a line.
TOOLS='
run   required make              make               make                  "starts everything here"
run   required python311         python3            python3               "Python 3.11 or newer"
run   required python_venv       python3-venv       python3-libs          "Python environments (venv, ensurepip)"
run   required ssh               openssh-client     openssh-clients       "reaching other hosts"
run   useful   mkfs.ext4         e2fsprogs          e2fsprogs             "a file system on a replicated volume"
run   useful   nbdfuse           libnbd-bin         libnbd                "attach without the kernel NBD module"
run   useful   fusermount        fuse3              fuse                  "attach without the kernel NBD module"
test  required git               git                git                   "the checkout itself"
test  required sshd              openssh-server     openssh-server        "test hosts that are reached over SSH"
test  required ssh-keygen        openssh-client     openssh               "keys of the test hosts"
test  required ip                iproute2           iproute               "test hosts as network namespaces"
test  required nft               nftables           nftables              "cutting links between test hosts"
test  required qemu-img          qemu-utils         qemu-img              "an NBD client we did not write"
test  required qemu-io           qemu-utils         qemu-img              "an NBD client we did not write"
test  required nbdinfo           libnbd-bin         libnbd                "an NBD client we did not write"
test  required nbdcopy           libnbd-bin         libnbd                "an NBD client we did not write"
test  required nbdsh             python3-libnbd     nbd-utils-python3     "an NBD client we did not write"
test  required fio_nbd           fio                fio-engine-nbd        "load with verification over NBD"
test  required mkfs.ext4         e2fsprogs          e2fsprogs             "file systems on replicated volumes"
test  required mkfs.xfs          xfsprogs           xfsprogs              "file systems on replicated volumes"
test  required tmux              tmux               tmux                  "the console in a real terminal"
test  required strace            strace             strace                "system calls: counted, slowed down, made to fail"
test  required losetup           util-linux         util-linux            "file systems and block devices of test hosts"
test  required setpriv           util-linux         util-linux            "a database server is not run as root"
test  required postgres_server   postgresql         postgresql-server     "a database on replicated volumes"
test  required pg_amcheck        postgresql         postgresql-contrib    "whether a recovered database is sound"
test  required nbdkit            nbdkit             nbdkit                "disks that fail under a test"
test  required qemu-storage-daemon qemu-system-common qemu-img            "disks whose every write is on record"
bench required nbdkit_file       nbdkit             nbdkit-basic-plugins  "measured against"
bench required qemu-nbd          qemu-utils         qemu-img              "measured against"
bench required rsync              rsync              rsync                 "measured against"
bench useful   cc                build-essential    gcc                   "the data path as a compiled loop (--compiled)"
bench useful   pgbench            postgresql-contrib postgresql-contrib    "load for a database on a replicated volume"
'

# sbin directories are not on everybody's PATH, but that is where sshd, mkfs and nft live.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

find_python() {
    local name
    for name in "${PYTHON:-python3}" python3 python3.14 python3.13 python3.12 python3.11; do
        if command -v "$name" > /dev/null 2>&1 \
            && "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' > /dev/null 2>&1; then
            echo "$name"
            return 0
        fi
    done
    return 1
}

there() {
    case "$1" in
        python311) find_python > /dev/null ;;
        python_venv) find_python > /dev/null && "$(find_python)" -c 'import ensurepip, venv' > /dev/null 2>&1 ;;
        fusermount) command -v fusermount3 > /dev/null 2>&1 || command -v fusermount > /dev/null 2>&1 ;;
        fio_nbd) command -v fio > /dev/null 2>&1 && fio --enghelp 2> /dev/null | grep -qw nbd ;;
        nbdkit_file) command -v nbdkit > /dev/null 2>&1 && nbdkit file --version > /dev/null 2>&1 ;;
        # Debian keeps the programs of PostgreSQL out of PATH
        postgres_server) command -v postgres > /dev/null 2>&1 || compgen -G '/usr/lib/postgresql/*/bin/postgres' > /dev/null ;;
        pg_amcheck) command -v pg_amcheck > /dev/null 2>&1 || compgen -G '/usr/lib/postgresql/*/bin/pg_amcheck' > /dev/null ;;
        pgbench) command -v pgbench > /dev/null 2>&1 || compgen -G '/usr/lib/postgresql/*/bin/pgbench' > /dev/null ;;
        qemu-storage-daemon)  # newer Debian and Ubuntu ship it apart from qemu-system-common
            command -v qemu-storage-daemon > /dev/null 2>&1 ;;
        *) command -v "$1" > /dev/null 2>&1 ;;
    esac
}

wanted() {  # run < test < bench: each level includes those before it
    case "$want:$1" in
        *:run | test:test | bench:test | bench:bench) return 0 ;;
        *) return 1 ;;
    esac
}

package_name() {  # the packages whose names differ among releases; asked after the lists are fresh
    local version
    if [ "$1" = qemu-system-common ] && apt-cache show qemu-storage-daemon > /dev/null 2>&1; then
        echo "qemu-system-common qemu-storage-daemon"
    elif [ "$1" = python3 ] && command -v python3 > /dev/null 2>&1; then
        # the system's own is too old (Ubuntu 22.04, RHEL 9), but a newer one may stand beside it
        for version in 3.13 3.12 3.11; do
            if [ "$manager" = dnf ] && dnf -q list "python$version" > /dev/null 2>&1; then
                echo "python$version"; return
            elif apt-cache show "python$version" > /dev/null 2>&1; then
                echo "python$version python$version-venv"; return
            fi
        done
        echo "$1"
    elif [ "$1" = python3-venv ] && find_python > /dev/null; then
        version="$("$(find_python)" -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
        if apt-cache show "python$version-venv" > /dev/null 2>&1; then echo "python$version-venv"; else echo "$1"; fi
    else
        echo "$1"
    fi
}

missing=()   # lines "kind tool package purpose"
survey() {
    local level kind tool deb rpm purpose
    missing=()
    while read -r level kind tool deb rpm purpose; do
        if [ -z "$level" ] || ! wanted "$level" || there "$tool"; then continue; fi
        case "$manager" in
            apt-get) missing+=("$kind|$tool|$(package_name "$deb")|$purpose") ;;
            *) missing+=("$kind|$tool|$(package_name "$rpm")|$purpose") ;;
        esac
    done <<< "$TOOLS"
}

manager=none
for name in apt-get dnf; do
    if command -v "$name" > /dev/null 2>&1; then manager="$name"; break; fi
done

survey
if [ "${#missing[@]}" -eq 0 ]; then exit 0; fi

packages() { printf '%s\n' "${missing[@]}" | cut -d'|' -f3 | tr ' ' '\n' | sort -u | tr '\n' ' '; }
report() {
    local line kind tool package purpose
    for line in "${missing[@]}"; do
        IFS='|' read -r kind tool package purpose <<< "$line"
        printf '  %-20s %s; in package %s (%s)\n' "$tool" "${purpose//\"/}" "$package" "$kind" >&2
    done
}

install_quietly() {
    case "$manager" in
        apt-get) apt-get install -y -qq --no-install-recommends "$@" < /dev/null > /dev/null ;;
        dnf) dnf install -y -q --setopt=install_weak_deps=False "$@" < /dev/null > /dev/null ;;
    esac
}

if [ "$(id -u)" = 0 ] && [ "$manager" != none ]; then
    export DEBIAN_FRONTEND=noninteractive
    if [ "$manager" = apt-get ]; then
        apt-get update -qq < /dev/null > /dev/null || echo "apt-get update failed; going on with the lists that are there" >&2
        survey
    fi
    read -r -a names <<< "$(packages)"
    echo "installing: ${names[*]}" >&2
    if ! install_quietly "${names[@]}"; then
        # one name that this release does not know must not keep the others away
        for name in "${names[@]}"; do install_quietly "$name" || true; done
    fi
    hash -r
    survey
    if [ "${#missing[@]}" -eq 0 ]; then exit 0; fi
fi

echo "missing on this machine:" >&2
report
if [ "$(id -u)" != 0 ] && [ "$manager" != none ]; then
    echo "hint: run as root: $manager install -y $(packages)" >&2
fi
for line in "${missing[@]}"; do
    case "$line" in required*) exit 1 ;; esac
done
exit 0
