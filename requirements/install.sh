#!/bin/sh
# Make .venv with exactly the packages of requirements/$1.txt ("run" or "test"), if it is not so.
# Usable from any folder, on any POSIX shell, any number of times at once. (The second argument is
# its own business: the interpreter that it chose before it took the lock.)
set -eu
cd "$(dirname "$0")/.."
kind=$1
lock=requirements/$kind.txt
venv_python=.venv/bin/python
log=.cache/install-$kind.log

say() { printf 'runsheet: %s\n' "$*" >&2; }

# Prints "3.13 yes" for an interpreter that runs: its version, and whether it can make
# environments and has what the product needs. (pyenv's shims exist and fail.)
probe='
import sys
print("%d.%d" % sys.version_info[:2], end=" ")
try:
    import ctypes, ensurepip, sqlite3, ssl, venv
    print("yes")
except ImportError as error:
    print("no", error.name)
'

candidates() {
    for name in python3.13 python3.14 python3.12 python3 python; do
        command -v "$name" || true
    done
    for folder in "${PYENV_ROOT:-$HOME/.pyenv}/versions" "$HOME/.local/share/uv/python" \
        "$HOME/.local/share/mise/installs/python" "$HOME/.asdf/installs/python"; do
        for path in "$folder"/*3.1[2-9]*/bin/python3; do
            [ ! -x "$path" ] || printf '%s\n' "$path"
        done
    done
    for path in /usr/local/bin/python3.1[2-9] /opt/homebrew/bin/python3.1[2-9] \
        /opt/python*/bin/python3; do
        [ ! -x "$path" ] || printf '%s\n' "$path"
    done
}

# Sets python to the interpreter to use: 3.13, on which the tests run, else the newest after it,
# else 3.12. The choice of who set PYTHON is not discussed, only checked.
find_python() {
    python='' best=0 seen='' lacking=''
    if [ -n "${PYTHON:-}" ]; then
        list=$(command -v "$PYTHON" || printf '%s' "$PYTHON")
    else
        list=$(candidates)
    fi
    while IFS= read -r path; do
        [ -n "$path" ] || continue
        found=$("$path" -c "$probe" 2>/dev/null) || continue
        version=${found%% *}
        case $version in
            3.13) rank=90 ;;
            3.1[2-9]) rank=${version#3.} ;;
            *) seen="$seen $path ($version)"; continue ;;
        esac
        case $found in
            *" yes") ;;
            *) lacking="$lacking $path ($version, without ${found##* })"; continue ;;
        esac
        if [ "$rank" -gt "$best" ]; then
            best=$rank python=$path
        fi
    done <<EOF
$list
EOF
    [ -z "$python" ] || return 0
    if [ -n "${PYTHON:-}" ]; then
        say "PYTHON is '$PYTHON', which is no Python 3.12 or newer with venv, ssl and sqlite3."
    else
        say "Python 3.12 or newer is needed, 3.13 is best, and there is none here."
    fi
    [ -z "$seen" ] || say "Too old:$seen"
    [ -z "$lacking" ] || say "Not complete (Debian: apt install python3-venv):$lacking"
    say "Install one: 'apt install python3 python3-venv' (Debian 13, Ubuntu 24.04 and newer),"
    say "'brew install python@3.13', 'uv python install 3.13' or 'pyenv install 3.13'."
    say "Then run this again; PYTHON=/path/to/python3 takes a certain one."
    return 1
}

venv_works() {
    "$venv_python" -c 'import pip, sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null
}

is_done() {
    cmp -s "$lock" ".venv/$kind.txt" && venv_works
}

make_venv() {
    if [ -e .venv ] || [ -h .venv ]; then
        say "making .venv anew: its Python does not run"
        rm -rf .venv
    fi
    say "making .venv with $python"
    "$python" -m venv .venv
}

# shellcheck disable=SC2016 # awk's own variables
# Counts the packages; on a terminal in one line that is written over.
progress='
/^ *Collecting / { count++; name = $2; sub(/[=<>~ ].*/, "", name); tell(name) }
/^ *Downloading .*\(/ { size = $0; sub(/.*\(/, "(", size); tell(name " " size) }
/^FAILED/ { failed = 1 }
function tell(what) {
    if (terminal) printf "\r\033[K  %d of %d  %s", count, total, what
    else if (count % 20 == 1 && count != told) { print "  " count " of " total; told = count }
    fflush()
}
END { if (terminal) printf "\r\033[K"; exit failed }
'

install() {
    rm -f ".venv/$kind.txt"
    total=$(grep -c '==' "$lock" || true)
    terminal=0
    [ ! -t 2 ] || terminal=1
    say "installing the $total packages of $lock"
    {
        PYTHONUNBUFFERED=1 "$venv_python" -m pip install --disable-pip-version-check \
            --no-input --require-hashes -r "$lock" 2>&1 || echo FAILED
    } | tee "$log" | awk -v total="$total" -v terminal="$terminal" "$progress" >&2 || {
        tail -n 15 "$log" >&2
        say "the packages could not be installed; all that pip said is in $log"
        return 1
    }
    cp "$lock" ".venv/$kind.txt"
}

# What a start makes once an installation: a database without a row, and the static files. Without
# them the first start takes ten seconds more; so nothing is lost if this fails.
make_ready() {
    folder=$(mktemp -d)
    env -i HOME="${HOME:-/}" PATH="$PATH" RUNSHEET_EMBEDDED=1 RUNSHEET_DATA_DIR="$folder" \
        "$venv_python" manage.py prepare 2>>"$log" >/dev/null || say "not ready for a quick start: see $log"
    rm -rf "$folder"
}

is_done && exit 0

# One at a time. The kernel holds the lock for the shell that Python turns into, and frees it when
# that one is gone, however it went.
take_lock='
import fcntl, os, sys
lock = os.open(".cache/install.lock", os.O_RDWR | os.O_CREAT, 0o600)
fcntl.flock(lock, fcntl.LOCK_EX)
os.set_inheritable(lock, True)
os.execvp("sh", ["sh", "requirements/install.sh", *sys.argv[1:]])
'
python=${2:-}
if [ -z "$python" ]; then
    if venv_works; then python=$venv_python; else find_python; fi
    mkdir -p .cache
    exec "$python" -c "$take_lock" "$kind" "$python"
fi
venv_works || make_venv
install
make_ready
