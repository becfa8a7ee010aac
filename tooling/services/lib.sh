# What the scripts of this folder share. Sourced by them, never run.
#
#   SCRIPT start [DIR]    start the server, if it does not run yet, and print its variables
#   SCRIPT env DIR        print them again
#   SCRIPT stop DIR [SIG [NAME]]
#                         stop it and keep its data; SIG is TERM unless told otherwise, NAME one of its processes where it has several
#   SCRIPT destroy DIR    stop it and remove DIR
#   SCRIPT hold DIR       start; destroy once standard input ends, which it does when whoever started this dies
#
# Standard output holds nothing but KEY=VALUE lines; values have neither spaces nor quotes. Exit code 69: the server cannot be
# had on this machine, and standard error says why. A script sets SERVICE, sources this file, defines service_start,
# service_stop SIG [NAME] and service_env, which find their place in $DIR, and ends with: main "$@"

set -euo pipefail
umask 077
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
UNAVAILABLE=69

note() { echo "$SERVICE: $*" >&2; }
fail() { note "$@"; exit 1; }
unavailable() { note "$@"; exit $UNAVAILABLE; }

# need COMMAND PACKAGE...: make sure there is such a command, if need be by installing Debian packages.
need() {
  local command=$1 attempt
  shift
  ! command -v "$command" >/dev/null || return 0
  command -v apt-get >/dev/null || unavailable "there is no $command: install $*"
  [ "$(id -u)" = 0 ] || unavailable "there is no $command: run apt-get install $* as root"
  note "installing $*"
  for attempt in 'true' 'apt-get -qq update'; do
    # Somebody else may be installing: wait for the lock.
    if $attempt >&2 && DEBIAN_FRONTEND=noninteractive apt-get -qqy -o DPkg::Lock::Timeout=300 \
      install --no-install-recommends "$@" >&2; then
      break
    fi
  done
  hash -r
  command -v "$command" >/dev/null || unavailable "apt-get could not install $*"
}

# unpack_suite SUITE FOLDER PACKAGE...: unpack packages of another Debian suite, with what they depend on, below FOLDER. The
# system is left as it is, so that anyone may do it.
unpack_suite() {
  local suite=$1 folder=$2 work mirror
  shift 2
  [ ! -e "$folder/.unpacked" ] || return 0
  command -v apt-get >/dev/null || unavailable "$* of Debian $suite are fetched by apt-get, which is not here"
  note "unpacking $* of Debian $suite"
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | sed -n 1p)
  work=$(mktemp -d)
  mkdir -p "$folder" "$work/state/lists/partial" "$work/cache/archives/partial"
  # Nothing counts as installed there, so everything needed comes along.
  touch "$work/status"
  echo "deb $mirror $suite main" >"$work/sources"
  cat >"$work/conf" <<CONF
Dir::State "$work/state";
Dir::State::status "$work/status";
Dir::Cache "$work/cache";
Dir::Etc::sourcelist "$work/sources";
Dir::Etc::sourceparts "-";
APT::Sandbox::User "";
Debug::NoLocking "true";
CONF
  if ! { APT_CONFIG=$work/conf apt-get -qq update && APT_CONFIG=$work/conf apt-get -qqy --download-only \
    --no-install-recommends install "$@"; } >&2; then
    rm -rf "$work"
    unavailable "$* of Debian $suite cannot be downloaded"
  fi
  find "$work/cache/archives" -name '*.deb' -exec dpkg-deb --extract {} "$folder" \;
  rm -rf "$work"
  touch "$folder/.unpacked"
}

# shared_folder NAME: where things lie that are made once for all DIRs.
shared_folder() { echo "${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/stored-services/$1"; }

# kept NAME COMMAND...: what COMMAND printed when it was asked for the first time in this DIR.
kept() {
  local file=$DIR/$1
  shift
  [ -s "$file" ] || "$@" >"$file"
  cat "$file"
}

# free_port: a port of 127.0.0.1 where nobody listens, below those that the kernel hands out.
free_port() {
  local port
  for _ in {1..100}; do
    port=$((10000 + RANDOM % 22000))
    if ! is_open "$port"; then echo "$port" && return; fi
  done
  fail 'there is no free port'
}

# is_open PORT: whether 127.0.0.1 accepts connections there.
is_open() { (: <>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# random_hex BYTES
random_hex() { od -An -tx1 -N "$1" /dev/urandom | tr -d ' \n'; }

# launch NAME COMMAND...: run COMMAND apart from this shell, with its output in $DIR/NAME.log and its process id in $DIR/NAME.pid.
launch() {
  local name=$1
  shift
  setsid "$@" </dev/null >>"$DIR/$name.log" 2>&1 9>&- &
  echo "$! $(started_at $!)" >"$DIR/$name.pid"
}

# started_at PID: tells a process from a later one of the same id. The name in parentheses may hold anything.
started_at() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20 || true; }

# alive NAME: whether what was launched under this name still runs; a zombie does not.
alive() {
  local pid since
  [ -e "$DIR/$1.pid" ] || return 1
  read -r pid since <"$DIR/$1.pid"
  [ -n "$since" ] && [ "$(started_at "$pid")" = "$since" ] &&
    { ! grep -qs '^State:.*zombie' "/proc/$pid/status" || [ "$(ls "/proc/$pid/task" 2>/dev/null | wc -l)" -gt 1 ]; }
}

pid_of() { cut -d ' ' -f 1 "$DIR/$1.pid"; }

# halt NAME [SIGNAL]: end it, by force after 10 seconds.
halt() {
  local name=$1 signal=${2:-TERM} pid
  if alive "$name"; then
    pid=$(pid_of "$name")
    kill -s "$signal" "$pid" 2>/dev/null || true
    for _ in {1..200}; do alive "$name" && sleep 0.05 || break; done
    ! alive "$name" || kill -s KILL "$pid"
    while alive "$name"; do sleep 0.05; done
  fi
  rm -f "$DIR/$name.pid"
}

# await NAME SECONDS COMMAND...: until COMMAND succeeds; an error when NAME ends before or the time is up.
await() {
  local name=$1 deadline=$((SECONDS + $2))
  shift 2
  until "$@" >/dev/null 2>&1; do
    if ! alive "$name" || [ "$SECONDS" -ge "$deadline" ]; then
      tail -n 20 "$DIR/$name.log" >&2
      fail "$name did not become ready"
    fi
    sleep 0.05
  done
}

main() {
  local action=${1:-}
  case $OSTYPE in
    linux*) ;;
    *) unavailable "its script needs Linux, and this is $OSTYPE" ;;
  esac
  case $action in
    start) DIR=${2:-$(mktemp -d)} ;;
    env | stop | destroy | hold) DIR=${2:?"$action needs DIR"} ;;
    *) fail 'start [DIR] | env DIR | stop DIR [SIG [NAME]] | destroy DIR | hold DIR' ;;
  esac
  if [ "$action" != start ] && [ "$action" != hold ] && [ ! -d "$DIR" ]; then
    [ "$action" != env ] || fail "there is nothing at $DIR"
    return 0
  fi
  mkdir -p "$DIR"
  DIR=$(cd "$DIR" && pwd -P)
  case $action in
    start)
      locked service_start
      service_env
      ;;
    env) service_env ;;
    stop) locked service_stop "${3:-TERM}" "${4:-}" ;;
    destroy) destroy ;;
    hold)
      trap destroy EXIT
      locked service_start
      service_env
      echo READY=1
      # Whoever reads the variables may be gone; that is no reason to die before the end.
      trap '' PIPE INT TERM HUP
      cat >/dev/null
      ;;
  esac
}

# locked COMMAND...: one at a time for each DIR.
locked() {
  exec 9>"$DIR/.lock"
  flock 9
  "$@"
  exec 9>&-
}

destroy() {
  locked service_stop TERM
  rm -rf "$DIR"
}
