#!/bin/sh
# Usage: ledger.sh start|stop|monitor CLUSTER-DIRECTORY
# The service of demo and bench. Its daemon (ledger-daemon.ts) is up on every node as a hot standby; to start it here is
# to name it primary under the epoch of this activation, and to wait until it says that it is.
set -u
home=$2/$QUORUMBEAT_NODE/ledger

case $1 in
start)
  printf '%s\n' "$QUORUMBEAT_EPOCH" >"$home/primary"
  tries=0
  while { read -r acting <"$home/acting" || acting=; } 2>/dev/null; [ "$acting" != "$QUORUMBEAT_EPOCH" ]; do
    tries=$((tries + 1))
    [ $tries -le 200 ] || exit 1
    sleep 0.01
  done
  ;;
stop)
  rm -f "$home/primary"
  while [ -e "$home/acting" ]; do
    read -r pid <"$home/pid" && kill -0 "$pid" 2>/dev/null || exit 0
    sleep 0.01
  done
  ;;
monitor)
  [ -e "$home/acting" ] || exit 7
  read -r pid <"$home/pid" && kill -0 "$pid" 2>/dev/null || exit 7
  ;;
*)
  exit 2
  ;;
esac
