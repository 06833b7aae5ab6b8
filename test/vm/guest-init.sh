#!/bin/busybox sh
# First program of the virtual machine: loads one watchdog, starts the agent, breaks something, and tells on the serial
# line what happens. `vm.KEY=VALUE` on the kernel's command line says what.
/bin/busybox mkdir -p /proc /sys /dev /run /tmp /sbin /usr/sbin
/bin/busybox --install -s /bin
export PATH=/bin:/usr/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for word in $(cat /proc/cmdline); do
  case $word in vm.*=*)
    key=${word%%=*}
    eval "VM_${key#vm.}=${word#*=}"
    ;;
  esac
done

if [ "$VM_fault" = systemd ]; then exec /usr/lib/systemd/systemd; fi

say() { echo "VM $(cut -d' ' -f1 /proc/uptime) $*"; }
watchdog() { cat "/sys/class/watchdog/watchdog0/$1"; }
await() { # FILE: until it is there, 60 s at most
  tries=0
  while [ ! -e "$1" ] && [ $tries -lt 600 ]; do
    sleep 0.1
    tries=$((tries + 1))
  done
  [ -e "$1" ]
}

say booted
ip link set lo up
insmod /modules/watchdog.ko 2>/dev/null
insmod "/modules/$VM_watchdog.ko" nowayout="${VM_nowayout:-0}" || say insmod-failed

sed -i "s/timeout_s = [0-9]*/timeout_s = $VM_timeout/" /app/cluster.toml

agent() {
  NODE_OPTIONS=--require=/app/block.cjs node /app/quorumbeat.js agent --config /app/cluster.toml --node a1 \
    --key /app/node.key --ring-key /app/ring.key --state-dir /app/state --runtime-dir /run/quorumbeat 2>>/run/log &
  AGENT=$!
}
stay() { # SECONDS: tells each that it lives to see
  second=0
  while [ $second -lt "$1" ]; do
    sleep 1
    second=$((second + 1))
    say alive $second
  done
}

if [ "$VM_fault" = busy ]; then busybox watchdog -T 60 -t 1 /dev/watchdog0; fi
agent
if [ "$VM_fault" = busy ]; then
  await /run/quorumbeat/agent.sock
  sleep 4
  node /app/quorumbeat.js status --runtime-dir /run/quorumbeat | sed 's/^/VM status /'
  say FAULT
  [ -e /run/job ] && say service-started
  say UNHARMED
  poweroff -f
fi

if ! await /run/job; then
  sed 's/^/VM log /' /run/log
  poweroff -f
fi
say service-running "$(cat /run/job)"
sleep 3
node /app/quorumbeat.js status --runtime-dir /run/quorumbeat | sed 's/^/VM status /'
say ready "$(watchdog state)" "$(watchdog timeout)" "$(watchdog identity)"

CONTROL=$(cat "/proc/$AGENT/task/$AGENT/children")
case $VM_fault in
  stop) kill -STOP $AGENT ;;
  kill) kill -KILL $AGENT ;;
  kill-all) kill -KILL $AGENT $CONTROL ;;
  block) kill -USR2 $AGENT ;;
  leave) kill -TERM $AGENT ;;
  stop-kill) kill -STOP $AGENT ;;
  revive) kill -KILL $AGENT $CONTROL ;;
esac
say FAULT "$VM_fault"
case $VM_fault in
  panic) echo c >/proc/sysrq-trigger ;;
  suspend)
    echo +8 >/sys/class/rtc/rtc0/wakealarm
    echo mem >/sys/power/state
    say awake
    ;;
  leave)
    wait $AGENT
    say left $? "$(watchdog state)"
    ;;
  stop-kill)
    sleep $((VM_timeout - 1))
    kill -KILL $AGENT $CONTROL
    say killed
    ;;
  revive)
    rm -f /run/job
    agent
    await /run/job && say service-running "$(cat /run/job)"
    ;;
esac
stay $((2 * VM_timeout + 3))
sed 's/^/VM log /' /run/log
say UNHARMED "$(watchdog state)"
poweroff -f
