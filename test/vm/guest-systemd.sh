#!/bin/busybox sh
# Run by systemd, which is the first program here: the agent with two services that are units. What happens is told on the
# serial line.
export PATH=/bin:/usr/bin
exec >/dev/ttyS0 2>&1

say() { echo "VM $(cut -d' ' -f1 /proc/uptime) $*"; }
await() { # WHAT SECONDS COMMAND...: until it succeeds
  what=$1
  tries=$(($2 * 5))
  shift 2
  until "$@"; do
    tries=$((tries - 1))
    if [ $tries -le 0 ]; then
      say "NOT $what"
      return 1
    fi
    sleep 0.2
  done
  say "$what"
}
shows() { systemctl show --value --property="$1" -- "$2"; }
is() { [ "$(shows ActiveState "$1")" = "$2" ]; }
command() { node /app/quorumbeat.js "$@" --runtime-dir /run/quorumbeat; }
has_new_epoch() { [ -s /run/unit-epoch ] && [ "$(cat /run/unit-epoch)" != "$EPOCH" ]; }
status_says() { command status | grep -q "$1"; }

say booted "$(cat /proc/1/comm)"
ip link set lo up
node /app/quorumbeat.js agent --config /app/cluster-systemd.toml --node a1 --key /app/node.key \
  --ring-key /app/ring.key --state-dir /app/state --runtime-dir /run/quorumbeat 2>/run/log &
AGENT=$!
await unit-active 90 is unit.service active
await epoch-reached-the-unit 10 has_new_epoch
EPOCH=$(cat /run/unit-epoch)
say epoch "$EPOCH" group "$(shows ControlGroup unit.service)"

kill -KILL "$(shows MainPID unit.service)"
await unit-restarted-with-a-new-epoch 30 has_new_epoch
await unit-active-again 10 is unit.service active

command service stop unit
await unit-stopped 20 is unit.service inactive

systemctl start unit.service
await started-by-hand 10 is unit.service active
await hand-started-was-stopped 40 is unit.service inactive

await left-active 30 is left.service active
command service stop left
await left-inactive 20 is left.service inactive
say left-group "$(shows ControlGroup left.service)" "$(cat /sys/fs/cgroup/system.slice/left.service/cgroup.events)"
await left-not-stopped 20 status_says "left .*failed"
grep -o '"event":"service-stop-failed".*' /run/log | head -1
say FAULT systemd
for pid in $(cat /sys/fs/cgroup/system.slice/left.service/cgroup.procs); do kill -KILL "$pid"; done
await left-stopped 30 status_says "left .*stopped"

kill -TERM $AGENT
wait $AGENT
say left-in-order $?
sed 's/^/VM log /' /run/log
say UNHARMED
sync
poweroff -f
