#!/usr/bin/env bash
# Ceph's RADOS Gateway, a real S3 server, on a cluster of one monitor and one store in memory.
#
# Settings, by environment:
#   CEPH_SUITE   take Ceph from this Debian suite, unpacked apart from the system (forky: 20.2)   [the system's: 16.2 in Debian 12]
#   CEPH_GB      how much it holds                                                                [8]
#   CEPH_STORE   bluestore: it keeps what it holds when its process is killed                     [memstore]
#
# `stop` ends the gateway alone, which keeps nothing itself, or whichever of its processes it is told: rgw, osd (the store), mon.
# `start` starts again what does not run. S3_ADMIN is radosgw-admin of this cluster, for users and quotas.
SERVICE=ceph-rgw
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# find_ceph: sets LOADER, which starts a program of Ceph, and LIBRARIES, where its plug-ins lie; none for the system's.
find_ceph() {
  local suite root
  suite=$(kept suite echo "${CEPH_SUITE:-system}")
  LOADER=() LIBRARIES=
  if [ "$suite" = system ]; then
    need radosgw ceph-mon ceph-osd ceph-common radosgw
    return
  fi
  root=$(shared_folder "ceph-$suite")
  mkdir -p "$(dirname "$root")"
  (
    flock 8
    unpack_suite "$suite" "$root" ceph-mon ceph-osd ceph-common radosgw
  ) 8>"$root.lock"
  LIBRARIES=$(echo "$root"/usr/lib/*-linux-gnu)
  # With the C library that it was built for.
  LOADER=("$(echo "$root"/usr/lib*/ld-linux-*.so.*)" --library-path "$LIBRARIES:$LIBRARIES/ceph")
  PATH=$root/usr/bin:$PATH
}

ceph_program() { "${LOADER[@]}" "$(command -v "$1")" -c "$DIR/ceph.conf" "${@:2}"; }

launch_ceph() { launch "$1" "${LOADER[@]}" "$(command -v "$2")" -f -c "$DIR/ceph.conf" "${@:3}"; }

# ceph_command ARGUMENT...: the command `ceph`, which is written in Python.
ceph_command() {
  local usr
  if [ ${#LOADER[@]} = 0 ]; then
    ceph -c "$DIR/ceph.conf" "$@"
    return
  fi
  usr=$(dirname "$(dirname "$(command -v ceph-mon)")")
  PYTHONHOME=$usr PYTHONPATH=$usr/lib/python3/dist-packages PYTHONDONTWRITEBYTECODE=1 \
    "${LOADER[@]}" "$usr/bin/python3" "$usr/bin/ceph" -c "$DIR/ceph.conf" "$@"
}

configuration() {
  cat <<CONF
[global]
fsid = $(</proc/sys/kernel/random/uuid)
mon_host = [v2:127.0.0.1:$(kept mon2.port free_port),v1:127.0.0.1:$(kept mon1.port free_port)]
public_network = 127.0.0.0/8
cluster_network = 127.0.0.0/8
# Among the daemons, which are ours; requests to the gateway are signed.
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
ms_mon_client_mode = crc
run_dir = $DIR/run
crash_dir = $DIR/run
admin_socket = $DIR/run/\$name.asok
log_file = $DIR/\$name.ceph.log
keyring = $DIR/keyring
# One copy, in one place.
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pgp_num = 4
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
mon_data_avail_crit = 1
mon_data_avail_warn = 2
# Pools are made one after the other, and each waits for this.
paxos_propose_interval = 0.02
paxos_min_wait = 0.01
[mon.a]
mon_data = $DIR/mon
[osd.0]
osd_data = $DIR/osd
osd_objectstore = $(kept store echo "${CEPH_STORE:-memstore}")
bluestore_block_size = $((${CEPH_GB:-8} << 30))
bluestore_cache_autotune = false
bluestore_cache_size = 134217728
memstore_device_bytes = ${CEPH_GB:-8}G
osd_crush_initial_weight = 1
osd_class_update_on_start = false
# A gateway that was killed is waited for that long, in seconds, by whoever changes a bucket.
osd_client_watch_timeout = 2
osd_max_object_name_len = 2048
[client]
rgw_data = $DIR/rgw
rgw_frontends = beast endpoint=127.0.0.1:$(kept rgw.port free_port) tcp_nodelay=1
rgw_rados_pool_pg_num_min = 4
rgw_enable_usage_log = false
# A gateway that is killed while it completes an upload bars the next attempt that long, in seconds.
rgw_mp_lock_max_time = 5
# The bytes of what was deleted are kept for whoever still reads it: a minute, not two hours of them in memory.
rgw_gc_obj_min_wait = 60
rgw_gc_processor_period = 30
# Quotas hold at once, not after ten minutes.
rgw_bucket_quota_ttl = 0
CONF
  if [ -n "$LIBRARIES" ]; then
    cat <<CONF
[global]
plugin_dir = $LIBRARIES/ceph
erasure_code_dir = $LIBRARIES/ceph/erasure-code
osd_class_dir = $LIBRARIES/rados-classes
CONF
  fi
}

make_monitor() {
  local addresses
  addresses=$(sed -n 's/^mon_host = //p' "$DIR/ceph.conf")
  ceph_program monmaptool --create --fsid "$(sed -n 's/^fsid = //p' "$DIR/ceph.conf")" --addv a "$addresses" "$DIR/monmap"
  ceph_program ceph-mon -i a --mkfs --monmap "$DIR/monmap"
}

make_store() {
  local id
  id=$(</proc/sys/kernel/random/uuid)
  ceph_command osd new "$id"
  ceph_program ceph-osd -i 0 --mkfs --osd-uuid "$id"
}

# The administrator's program as one file that anyone can run.
make_admin() {
  local program=("${LOADER[@]}" "$(command -v radosgw-admin)" -c "$DIR/ceph.conf")
  printf '#!/bin/sh\nexec%s "$@"\n' "$(printf ' %q' "${program[@]}")" >"$DIR/radosgw-admin"
  chmod +x "$DIR/radosgw-admin"
}

make_user() {
  "$DIR/radosgw-admin" user create --uid=stored --display-name=stored \
    --access-key="$(kept access-key random_hex 10)" --secret-key="$(kept secret-key random_hex 20)"
}

service_start() {
  find_ceph
  mkdir -p "$DIR"/{mon,osd,rgw,run}
  [ -e "$DIR/ceph.conf" ] || configuration >"$DIR/ceph.conf"
  if ! alive mon; then
    make_monitor >&2
    launch_ceph mon ceph-mon -i a
    await mon 30 is_open "$(<"$DIR/mon1.port")"
  fi
  if ! alive osd; then
    [ -e "$DIR/osd/ready" ] || make_store >&2
    launch_ceph osd ceph-osd -i 0
  fi
  alive rgw || launch_ceph rgw radosgw -n client.rgw
  await rgw 90 is_open "$(<"$DIR/rgw.port")"
  if [ ! -e "$DIR/radosgw-admin" ]; then
    make_admin
    make_user >/dev/null
  fi
}

service_stop() {
  local name=${2:-rgw}
  case $name in
    rgw | osd | mon) halt "$name" "$1" ;;
    *) fail "it has no process $name" ;;
  esac
}

destroy() {
  # Whoever started it may be gone, with the other end of every pipe: that must not stop the rest. Nobody needs farewells.
  set +e
  exec 2>/dev/null
  for daemon in rgw osd mon; do halt "$daemon" KILL; done
  rm -rf "$DIR"
}

service_env() {
  cat <<ENV
S3_ENDPOINT=http://127.0.0.1:$(<"$DIR/rgw.port")
S3_REGION=us-east-1
S3_ACCESS_KEY_ID=$(<"$DIR/access-key")
S3_SECRET_ACCESS_KEY=$(<"$DIR/secret-key")
S3_ADMIN=$DIR/radosgw-admin
S3_USER=stored
ENV
}

main "$@"
