#!/usr/bin/env bash
# OpenSSH's server, for SFTP: keys of its own, run by and for the user who starts it.
#
# Settings, by environment:
#   SSHD_SFTP_SERVER   the command that serves SFTP     [internal-sftp]
#
# A line added to the file SFTP_AUTHORIZED_KEYS lets another key in, with what `command="…"` allows it. There are no passwords:
# without PAM, which needs root, sshd would ask /etc/shadow.
SERVICE=sshd
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

configuration() {
  cat <<CONF
ListenAddress 127.0.0.1
Port $(kept port free_port)
HostKey $DIR/host_key
PidFile none
AuthorizedKeysFile $DIR/authorized_keys
AuthenticationMethods publickey
PermitRootLogin yes
UsePAM no
# DIR may lie below a folder that everyone can write to.
StrictModes no
UseDNS no
# Tests connect in bursts.
MaxStartups 500
MaxSessions 500
LogLevel VERBOSE
Subsystem sftp ${SSHD_SFTP_SERVER:-internal-sftp}
CONF
}

make_key() { [ -e "$1" ] || ssh-keygen -q -t ed25519 -N '' -C "$(basename "$1")" -f "$1"; }

greets() { (read -r -t 2 line <"/dev/tcp/127.0.0.1/$(<"$DIR/port")" && [[ $line == SSH-2.0-* ]]) 2>/dev/null; }

service_start() {
  need sshd openssh-server
  need ssh-keygen openssh-client
  ! alive sshd || return 0
  # Where root's sshd locks up its unprivileged half.
  [ "$(id -u)" != 0 ] || install -d -m 755 /run/sshd
  mkdir -p "$DIR/data"
  make_key "$DIR/host_key"
  make_key "$DIR/user_key"
  [ -e "$DIR/authorized_keys" ] || cp "$DIR/user_key.pub" "$DIR/authorized_keys"
  configuration >"$DIR/sshd_config"
  # By its full path: it starts itself again for each connection.
  launch sshd "$(command -v sshd)" -D -e -f "$DIR/sshd_config"
  await sshd 10 greets
}

# With the connections, which would outlive the server.
service_stop() {
  local child
  if alive sshd; then
    for child in $(descendants "$(pid_of sshd)"); do kill -s "$1" "$child" 2>/dev/null || true; done
  fi
  halt sshd "$1"
}

descendants() {
  local child
  for child in $(cat "/proc/$1/task/"*/children 2>/dev/null); do
    descendants "$child"
    echo "$child"
  done
}

service_env() {
  cat <<ENV
SFTP_HOST=127.0.0.1
SFTP_PORT=$(<"$DIR/port")
SFTP_USERNAME=$(id -un)
SFTP_PRIVATE_KEY=$DIR/user_key
SFTP_AUTHORIZED_KEYS=$DIR/authorized_keys
SFTP_HOST_KEY=$DIR/host_key.pub
SFTP_FINGERPRINT=$(ssh-keygen -lf "$DIR/host_key.pub" | cut -d ' ' -f 2)
SFTP_ROOT=$DIR/data
SSHD_VERSION=$(ssh -V 2>&1 | sed 's/^OpenSSH_//; s/[ ,].*//')
ENV
}

main "$@"
