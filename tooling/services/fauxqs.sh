#!/usr/bin/env bash
# fauxqs, an S3 server in JavaScript that keeps everything in memory: for machines where Ceph cannot be had. It checks no
# signatures and judges no conditions, so what passes here is not proved.
SERVICE=fauxqs
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

service_start() {
  ! alive fauxqs || return 0
  launch fauxqs node "$(dirname "${BASH_SOURCE[0]}")/fauxqs.ts" "$(kept port free_port)"
  await fauxqs 20 is_open "$(<"$DIR/port")"
}

service_stop() { halt fauxqs "$1"; }

service_env() {
  cat <<ENV
S3_ENDPOINT=http://127.0.0.1:$(<"$DIR/port")
S3_REGION=us-east-1
S3_ACCESS_KEY_ID=test
S3_SECRET_ACCESS_KEY=test
ENV
}

main "$@"
