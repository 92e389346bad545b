#!/bin/sh
# The first process of the virtual machine: tests of sampan-oci on a kernel that has cgroup v2 alone. Each function test_*
# is one; what it prints goes with its result when it fails. Read by test_cgroup_v2.py, which wants one RESULT line of each.

group=/sys/fs/cgroup/vm
export PATH=/bin
oci() { sampan-oci --root /run/oci "$@"; }

# The container NAME from the bundle of that name (or $2), detached and running.
start() { oci run -d -b "/t/${2:-$1}" "$1" < /dev/null > "/run/$1.log" 2>&1 || { cat "/run/$1.log"; return 1; }; }
path_of() { find /sys/fs/cgroup -type d -name "$1" | head -1; }
is() { [ "$1" = "$2" ] || { echo "is \"$1\", not \"$2\""; return 1; }; }
has() { case "$1" in *"$2"*) ;; *) echo "\"$2\" is not in \"$1\""; return 1 ;; esac }
lacks() { case "$1" in *"$2"*) echo "\"$2\" is in \"$1\""; return 1 ;; esac }
eventually() { n=0; until "$@" > /dev/null 2>&1; do n=$((n + 1)); [ $n -lt 100 ] || { "$@"; return 1; }; usleep 100000; done; }
status() { oci state "$1" | grep '"status"' | cut -d'"' -f4; }
has_status() { is "$(status "$1")" "$2"; }
gone() { [ -z "$(path_of "$1")" ] || { echo "$(path_of "$1") is left"; return 1; }; }

test_only_cgroup_v2_is_mounted() {
  is "$(grep -c ' cgroup2 ' /proc/mounts)" 1 && is "$(grep -c ' cgroup ' /proc/mounts)" 0
}

test_output_and_exit_code() {
  out=$(oci run -b /t/echo one 2> /run/err); is $? 7 && is "$out" out && is "$(cat /run/err)" err && gone one
}

test_limits_are_in_the_files() {
  start limits || return 1
  path=$(path_of limits)
  is "$(cat "$path/memory.max")" 67108864 && is "$(cat "$path/memory.low")" 33554432 && is "$(cat "$path/pids.max")" 20 &&
    is "$(cat "$path/cpu.max")" "50000 100000" && is "$(cat "$path/cpu.weight")" 100 && is "$(cat "$path/cpuset.cpus")" 0 &&
    is "$(cat "$path/memory.high")" 50331648 && is "$(cat "$path/cgroup.procs")" "$(oci ps -f json limits | tr -d '[]')" &&
    is "$(oci exec limits grep Cpus_allowed_list /proc/self/status | tr -d '[:space:]')" Cpus_allowed_list:0
}

test_memory_limit_bites() {
  oci run -b /t/greedy greedy > /run/out 2>&1; is $? 137 && gone greedy
}

test_pids_limit_bites() {
  out=$(oci run -b /t/forks forks 2>&1); has "$out" "can't fork"
}

test_cpu_limit_bites() {
  start busy || return 1
  throttled() { ! grep -q 'nr_throttled 0$' "$(path_of busy)/cpu.stat"; }
  eventually throttled && oci delete -f busy && gone busy
}

test_update() {
  start updated sleep || return 1
  oci update --memory 100M --pids-limit 33 --cpu-quota 20000 --cpu-period 100000 --cpu-share 2048 updated || return 1
  path=$(path_of updated)
  is "$(cat "$path/memory.max")" 104857600 && is "$(cat "$path/pids.max")" 33 && is "$(cat "$path/cpu.max")" "20000 100000" &&
    is "$(cat "$path/cpu.weight")" 174 && echo '{"cpu": {"cpus": "1"}, "memory": {"limit": -1}}' | oci update -r - updated &&
    is "$(cat "$path/cpuset.cpus")" 1 && is "$(cat "$path/memory.max")" max
}

test_pause_and_resume() {
  start paused sleep || return 1
  oci pause paused && has_status paused paused && is "$(cat "$(path_of paused)/cgroup.freeze")" 1 || return 1
  out=$(oci exec paused true 2>&1); is $? 255 && has "$out" "cannot exec in a paused container" || return 1
  oci resume paused && has_status paused running && oci exec paused true && oci pause paused && oci kill paused KILL &&
    eventually has_status paused stopped && oci delete paused && gone paused
}

# Any node may be made and those that every container has may be used; beyond that only what the rules name: here
# writing to /dev/kmsg, for which no capability is asked.
test_devices_by_bpf() {
  start devices && start denied || return 1
  for name in devices denied; do
    oci exec $name sh -c 'echo x > /dev/null' && oci exec $name head -c 1 /dev/zero > /run/zero &&
      oci exec $name mknod /tmp/kmsg-$name c 1 11 || return 1
  done
  oci exec devices sh -c 'echo from the container > /tmp/kmsg-devices' || return 1
  out=$(oci exec denied sh -c 'echo x > /tmp/kmsg-denied' 2>&1) && { echo "kmsg may be written"; return 1; }
  has "$out" "peration not permitted" || return 1
  out=$(oci exec devices mknod /tmp/mem c 1 1 2>&1) || return 1
  out=$(oci exec --cap CAP_SYS_RAWIO devices head -c 1 /tmp/mem 2>&1) && { echo "mem may be read"; return 1; }
  has "$out" "peration not permitted"
}

test_kill_all_reaches_what_ignores_signals() {
  start stubborn || return 1
  eventually sh -c "[ \$(wc -l < $(path_of stubborn)/cgroup.procs) -ge 4 ]" || return 1
  pids=$(cat "$(path_of stubborn)/cgroup.procs")
  oci kill --all stubborn KILL && eventually has_status stubborn stopped || return 1
  for pid in $pids; do eventually sh -c "! grep -q State:.*[RSD] /proc/$pid/status 2> /dev/null" || return 1; done
  oci delete stubborn && gone stubborn
}

test_exec_joins_the_group() {
  start joined sleep || return 1
  oci exec -d --pid-file /run/exec.pid joined sleep 500 || return 1
  grep -q "^$(cat /run/exec.pid)\$" "$(path_of joined)/cgroup.procs" || { echo "not in the group"; return 1; }
  mkdir "$(path_of joined)/below" && oci exec --cgroup below -d --pid-file /run/below.pid joined sleep 500 || return 1
  grep -q "^$(cat /run/below.pid)\$" "$(path_of joined)/below/cgroup.procs" && oci delete -f joined && gone joined
}

test_statistics_and_pressure() {
  start stats limits || return 1
  out=$(oci events --stats stats) && has "$out" '"pids":{"current":1,"limit":20}' && has "$out" '"limit":67108864' &&
    has "$out" '"cpuset":{"cpus":[0]' && has "$out" '"psi":{"full":{"avg10":' && lacks "$out" '"kernelTCP"' || return 1
  # memory, io and cpu
  is "$(echo "$out" | grep -o '"psi"' | wc -l)" 3
}

test_events_tell_an_oom_kill() {
  start victim limits || return 1
  oci events --interval 60s victim > /run/events & 
  watcher=$!
  usleep 500000
  oci exec victim sh -c 'a=x; while :; do a=$a$a; done' > /dev/null 2>&1
  eventually grep -q '{"type":"oom","id":"victim"}' /run/events && oci delete -f victim && wait $watcher
}

test_cgroup_namespace_and_mount() {
  out=$(oci run -b /t/cgroups cgroups 2>&1); has "$out" "0::/" && lacks "$out" "0::/sampan" && has "$out" cgroup.procs &&
    has "$out" made && gone cgroups
}

test_created_and_deleted() {
  oci create -b /t/sleep created < /dev/null > /run/created.log 2>&1 && has_status created created && oci delete created && gone created
}

test_refused_limits_leave_nothing() {
  sed 's/"resources":{/"resources":{"unified":{"nosuch.file":"1"},/; s/"resources": {/"resources": {"unified":{"nosuch.file":"1"},/' \
    /t/sleep/config.json > /t/refused.json
  out=$(oci run -d -b /t/sleep -f /t/refused.json refused 2>&1) && { echo "started"; return 1; }
  has "$out" nosuch && gone refused
}

test_features_know_version_2() { oci features | grep -q '"v2": true'; }

test_engine_runs_and_limits() {
  [ -d /t/store ] || { echo "no store"; return 1; }
  box=$(cat /t/image)
  engine() { sampan --root /t/store --state /run/sampan "$@"; }
  out=$(engine run --rm --network none -m 32m --pids-limit 20 "$box" sh -c 'echo in; cat /proc/self/cgroup') || { echo "$out"; return 1; }
  has "$out" "in" && has "$out" "0::/" || return 1
  engine run --network none --name greedy -m 8m --memory-swap 8m "$box" sh -c 'a=x; while :; do a=$a$a; done' > /dev/null 2>&1
  is $? 137 && is "$(engine inspect --format '{{.State.OOMKilled}}' greedy)" true || return 1
  id=$(engine run -d --network none --cpus 0.5 -m 50m --name idle "$box" sleep 500) || return 1
  engine pause idle && engine unpause idle && is "$(engine exec idle echo inside)" inside &&
    is "$(cat "$(path_of "$id")/memory.max")" 52428800 && engine rm -f idle greedy || return 1
  eventually gone "$id"
}

# Reads and writes of a real block device take as long as they are told to: 3 MB at 1 MB/s, 30 operations at 10/s.
test_disk_limits_bite() {
  engine() { sampan --root /t/store --state /run/sampan "$@"; }
  dd if=/dev/zero of=/run/disk bs=1M count=8 2> /dev/null
  disk=$(losetup -f) && losetup "$disk" /run/disk || return 1
  seconds() {  # FLAG of the limit, then dd's words
    limit=$1; shift
    before=$(cut -d. -f1 /proc/uptime)
    engine run --rm --network none --device "$disk" $limit "$(cat /t/image)" dd "$@" 2> /run/dd.log || { cat /run/dd.log >&2; echo 0; }
    echo $(($(cut -d. -f1 /proc/uptime) - before))
  }
  # What starting takes in this machine is told apart from what the limit takes.
  free=$(seconds "" if=$disk of=/dev/null bs=64k count=48 iflag=direct)
  for each in "--device-read-bps=$disk:1mb if=$disk of=/dev/null bs=64k count=48 iflag=direct" \
    "--device-write-bps=$disk:1mb if=/dev/zero of=$disk bs=64k count=48 oflag=direct" \
    "--device-read-iops=$disk:10 if=$disk of=/dev/null bs=4k count=30 iflag=direct" \
    "--device-write-iops=$disk:10 if=/dev/zero of=$disk bs=4k count=30 oflag=direct"; do
    took=$(seconds $each)
    [ "$took" -ge $((free + 1)) ] && [ "$took" -ge 2 ] || { echo "$each: $took seconds, $free without a limit"; losetup -d "$disk"; return 1; }
  done
  id=$(engine run -d --network none --device-read-bps "$disk:1mb" --device-write-iops "$disk:20" "$(cat /t/image)" sleep 500)
  line=$(cat "$(path_of "$id")/io.max"); engine rm -f "$id" > /dev/null; losetup -d "$disk"
  has "$line" rbps=1048576 && has "$line" wiops=20
}

test_what_version_2_cannot_limit_is_told() {
  out=$(sampan --root /t/store --state /run/sampan run --rm --network none --memory-swappiness 10 --oom-kill-disable "$(cat /t/image)" true 2>&1)
  has "$out" "does not support memory swappiness capabilities" && has "$out" "does not support OomKillDisable"
  out=$(sampan --root /t/store --state /run/sampan run --rm --network none --cpu-rt-runtime 1000 "$(cat /t/image)" true 2>&1)
  is $? 125 && has "$out" "kernel does not support CPU real-time scheduler"
}

# The counter goes on from where it was, in the foreground and detached, as a child of another program.
test_checkpoint_and_restore() {
  start count || return 1
  read_count() { cat /t/shared/count; }
  eventually test -s /t/shared/count
  usleep 1000000
  oci checkpoint --image-path /run/images --work-path /run/work count || { tail -n 20 /run/work/dump.log; return 1; }
  is "$(oci list -q | grep -x count)" "" && gone count || return 1
  stopped_at=$(read_count)
  usleep 600000
  is "$(read_count)" "$stopped_at" || return 1
  oci restore -d --pid-file /run/restored.pid --image-path /run/images --work-path /run/work -b /t/count again \
    < /dev/null > /run/again.log 2>&1 || { cat /run/again.log; tail -n 20 /run/work/restore.log; return 1; }
  has_status again running && grep -q "^$(cat /run/restored.pid)\$" "$(path_of again)/cgroup.procs" || return 1
  counts_on() { [ "$(read_count)" -gt "$stopped_at" ]; }
  eventually counts_on && [ "$(read_count)" -lt $((stopped_at + 100)) ] || { echo "count is $(read_count)"; return 1; }
  oci checkpoint --leave-running --image-path /run/more again && has_status again running && oci delete -f again && gone again || return 1
  oci restore --image-path /run/more -b /t/count third < /dev/null > /run/third.log 2>&1 &
  waiting=$!
  eventually has_status third running && oci kill third KILL || { cat /run/third.log; return 1; }
  wait $waiting; is $? 137 && gone third
}

# Memory first, while the container runs; what has changed since, at the end.
test_checkpoint_in_two_steps() {
  start count || return 1
  eventually test -s /t/shared/count
  oci checkpoint --pre-dump --image-path /run/steps/first --work-path /run/work count || { tail -n 20 /run/work/pre-dump.log; return 1; }
  has_status count running && test -e /run/steps/first/inventory.img || return 1
  oci checkpoint --parent-path ../first --image-path /run/steps/second --work-path /run/work count || { tail -n 20 /run/work/dump.log; return 1; }
  test -e /run/steps/second/parent && gone count || return 1
  oci restore -d --image-path /run/steps/second --work-path /run/work -b /t/count steps < /dev/null > /run/steps.log 2>&1 ||
    { cat /run/steps.log; tail -n 20 /run/work/restore.log; return 1; }
  has_status steps running && oci delete -f steps && gone steps
}

# A container with a terminal: the other end comes back over a socket, and /dev/console is the terminal as before.
listen() { rm -f /run/console; console_receiver /run/console < /run/typing > "$1" & eventually test -S /run/console; }
type_line() { echo "$1" >&9; }
test_checkpoint_with_a_terminal() {
  mkfifo /run/typing; exec 9<> /run/typing
  listen /run/shown
  oci run -d --console-socket /run/console -b /t/typed typed || return 1
  type_line one; eventually grep -q "^1 one /dev/pts/0" /run/shown || { cat /run/shown; return 1; }
  oci checkpoint --image-path /run/typed --work-path /run/work typed || { tail -n 20 /run/work/dump.log; return 1; }
  gone typed && listen /run/shown.again || return 1
  out=$(oci restore -d --image-path /run/typed --work-path /run/work -b /t/typed again 2>&1); is $? 1 && has "$out" --console-socket || return 1
  oci restore -d --console-socket /run/console --image-path /run/typed --work-path /run/work -b /t/typed again 2> /run/again.log ||
    { cat /run/again.log; tail -n 20 /run/work/restore.log; return 1; }
  type_line two; eventually grep -q "^2 two /dev/pts/0" /run/shown.again || { cat /run/shown.again; return 1; }
  oci checkpoint --image-path /run/typed.2 --work-path /run/work again || return 1
  # In the foreground.
  oci restore --image-path /run/typed.2 --work-path /run/work -b /t/typed third < /run/typing > /run/shown.third 2>&1 &
  waiting=$!
  eventually has_status third running || { cat /run/shown.third; return 1; }
  type_line three; eventually grep -q "^3 three /dev/pts/0" /run/shown.third || { cat /run/shown.third; return 1; }
  oci kill third KILL; wait $waiting; is $? 137 && gone third
}

# A network namespace that the host keeps is not saved: restore joins the one that its config.json names now.
new_network() { umount /run/network 2> /dev/null; touch /run/network; unshare -n mount --bind /proc/self/ns/net /run/network; }
in_network() { is "$(readlink "/proc/$(cat "$1")/ns/net")" "net:[$(stat -c %i /run/network)]"; }
test_checkpoint_in_a_network_by_path() {
  new_network && rm -f /t/shared/count && start networked || return 1
  eventually test -s /t/shared/count
  oci checkpoint --image-path /run/networked --work-path /run/work networked || { tail -n 20 /run/work/dump.log; return 1; }
  before=$(stat -c %i /run/network)
  sleep 1000 & keeper=$!  # another namespace, not the same again
  unshare -n sleep 1000 & other=$!
  new_network && [ "$(stat -c %i /run/network)" != "$before" ] || return 1
  kill $keeper $other
  oci restore -d --pid-file /run/networked.pid --image-path /run/networked --work-path /run/work -b /t/networked again < /dev/null \
    > /run/again.log 2>&1 || { cat /run/again.log; tail -n 20 /run/work/restore.log; return 1; }
  has_status again running && in_network /run/networked.pid && oci delete -f again && gone again && umount /run/network
}

test_checkpoint_without_the_network() {
  start offline || return 1
  oci checkpoint --empty-ns network --image-path /run/offline --work-path /run/work offline || { tail -n 20 /run/work/dump.log; return 1; }
  oci restore -d --empty-ns network --image-path /run/offline --work-path /run/work -b /t/offline again < /dev/null > /run/again.log 2>&1 ||
    { cat /run/again.log; tail -n 20 /run/work/restore.log; return 1; }
  has_status again running && is "$(oci exec again ls /sys/class/net)" lo && oci delete -f again
}

may_lock() { hold_lock /t/shared/lock try; is $? "$1"; }
test_checkpoint_with_file_locks() {
  start locked && eventually may_lock 1 || return 1
  out=$(oci checkpoint --image-path /run/unlocked --work-path /run/work locked 2>&1); is $? 1 && has "$out" lock && has_status locked running &&
    [ ! -e /run/unlocked/sampan.json ] || return 1
  oci checkpoint --file-locks --image-path /run/locked --work-path /run/work locked || { tail -n 20 /run/work/dump.log; return 1; }
  may_lock 0 || return 1
  oci restore -d --file-locks --image-path /run/locked --work-path /run/work -b /t/locked again < /dev/null > /run/again.log 2>&1 ||
    { cat /run/again.log; tail -n 20 /run/work/restore.log; return 1; }
  may_lock 1 && oci delete -f again
}

# Memory goes to a page server meanwhile; here it is on the same machine.
test_checkpoint_to_a_page_server() {
  start count || return 1
  eventually test -s /t/shared/count
  mkdir -p /run/served
  criu page-server -D /run/served -o server.log --address 127.0.0.1 --port 9876 -d || { cat /run/served/server.log; return 1; }
  oci checkpoint --page-server 127.0.0.1:9876 --image-path /run/paged --work-path /run/work count || { tail -n 20 /run/work/dump.log; return 1; }
  eventually test -e /run/served/pages-1.img
  [ ! -e /run/paged/pages-1.img ] || { echo "pages are here, too"; return 1; }
  mv /run/served/*.img /run/paged/
  oci restore -d --image-path /run/paged --work-path /run/work -b /t/count again < /dev/null > /run/again.log 2>&1 ||
    { cat /run/again.log; tail -n 20 /run/work/restore.log; return 1; }
  has_status again running && oci delete -f again
}

# The container ends only after a new one has its memory, which comes as it is touched.
test_checkpoint_with_lazy_pages() {
  start count || return 1
  eventually test -s /t/shared/count
  mkfifo /run/status; exec 8<> /run/status
  oci checkpoint --lazy-pages --page-server 127.0.0.1:9877 --status-fd 8 --image-path /run/lazy --work-path /run/lazy.work count \
    > /run/lazy.log 2>&1 &
  dumping=$!
  timeout 20 head -c 1 /run/status > /run/status.byte
  is "$(stat -c %s /run/status.byte)" 1 || { cat /run/lazy.log; tail -n 20 /run/lazy.work/dump.log; return 1; }
  kill -0 $dumping || { echo "did not wait"; return 1; }
  criu lazy-pages --page-server --address 127.0.0.1 --port 9877 -D /run/lazy -W /run/lazy -o lazy-pages.log -v4 &
  eventually test -S /run/lazy/lazy-pages.socket || { tail -n 20 /run/lazy/lazy-pages.log; return 1; }
  stopped_at=$(cat /t/shared/count)
  oci restore -d --lazy-pages --image-path /run/lazy --work-path /run/lazy -b /t/count again < /dev/null > /run/again.log 2>&1 ||
    { cat /run/again.log; tail -n 20 /run/lazy/restore.log; return 1; }
  counts_on() { [ "$(cat /t/shared/count)" -gt "$stopped_at" ]; }
  wait $dumping; is $? 0 && eventually counts_on && has_status again running && oci delete -f again && exec 8>&-
}

# Those in the runtime's namespaces run again; what those inside did is part of what comes back.
test_hooks_of_a_restore() {
  rm -f /run/hooks; start hooked || return 1
  is "$(cat /run/hooks | tr '\n' ' ')" "prestart createRuntime poststart " || return 1
  oci checkpoint --image-path /run/hooked --work-path /run/work hooked || { tail -n 20 /run/work/dump.log; return 1; }
  rm -f /run/hooks
  oci restore -d --image-path /run/hooked --work-path /run/work -b /t/hooked again < /dev/null > /run/again.log 2>&1 ||
    { cat /run/again.log; tail -n 20 /run/work/restore.log; return 1; }
  is "$(cat /run/hooks | tr '\n' ' ')" "prestart createRuntime poststart " && oci delete -f again || return 1
  mkdir -p /run/refusing; sed 's/echo createRuntime/echo no; exit 3; echo/' /t/hooked/config.json > /run/refusing/config.json
  out=$(oci restore -d --image-path /run/hooked --work-path /run/work -b /run/refusing again < /dev/null 2>&1); is $? 1 || return 1
  has "$out" "createRuntime hook /bin/sh: exit code 3" && gone again && is "$(oci list -q | grep -x again)" ""
}

grows() { before=$(cat "$1"); usleep 500000; [ "$(cat "$1")" -gt "$before" ] || { echo "$1 is still $before"; return 1; }; }

# A Unix socket whose other end the host has, by a name that is the same inside.
test_checkpoint_with_sockets_to_the_outside() {
  rm -f /t/shared/talk; talker receive /t/shared/talk /run/heard & receiving=$!
  eventually test -S /t/shared/talk
  start talking && eventually test -s /run/heard || return 1
  out=$(oci checkpoint --image-path /run/talking --work-path /run/work talking 2>&1); is $? 1 && has "$out" ext-unix-sk &&
    has_status talking running || return 1
  oci checkpoint --ext-unix-sk --image-path /run/talking --work-path /run/work talking || { tail -n 20 /run/work/dump.log; return 1; }
  oci restore -d --ext-unix-sk --image-path /run/talking --work-path /run/work -b /t/talking again < /dev/null > /run/again.log 2>&1 ||
    { cat /run/again.log; tail -n 20 /run/work/restore.log; return 1; }
  has_status again running && eventually grows /run/heard && oci delete -f again && kill $receiving
}

# In a network of its own, whose loopback comes back before the connection does.
test_checkpoint_with_connections() {
  rm -f /t/shared/heard; start connected && eventually test -s /t/shared/heard || return 1
  out=$(oci checkpoint --image-path /run/connected --work-path /run/work connected 2>&1); is $? 1 && has "$out" tcp-established &&
    has_status connected running || return 1
  oci checkpoint --tcp-established --image-path /run/connected --work-path /run/work connected ||
    { tail -n 20 /run/work/dump.log; return 1; }
  oci restore -d --tcp-established --image-path /run/connected --work-path /run/work -b /t/connected again < /dev/null \
    > /run/again.log 2>&1 || { cat /run/again.log; tail -n 20 /run/work/restore.log; return 1; }
  has_status again running && eventually grows /t/shared/heard && oci delete -f again
}

# As runc does; it comes back running.
test_checkpoint_of_a_paused_one() {
  rm -f /t/shared/count; start count && eventually test -s /t/shared/count && oci pause count || return 1
  oci checkpoint --leave-running --image-path /run/paused --work-path /run/work count || { tail -n 20 /run/work/dump.log; return 1; }
  has_status count paused && oci checkpoint --image-path /run/paused2 --work-path /run/work count ||
    { tail -n 20 /run/work/dump.log; return 1; }
  oci restore -d --image-path /run/paused2 --work-path /run/work -b /t/count again < /dev/null > /run/again.log 2>&1 ||
    { cat /run/again.log; tail -n 20 /run/work/restore.log; return 1; }
  has_status again running && eventually grows /t/shared/count && oci delete -f again
}

# Groups that a container has made come back below those of the new one.
test_checkpoint_with_groups_of_its_own() {
  start grouped && eventually grep -q . "$(path_of grouped)/inner/cgroup.procs" || return 1
  oci checkpoint --manage-cgroups-mode soft --image-path /run/grouped --work-path /run/work grouped ||
    { tail -n 20 /run/work/dump.log; return 1; }
  gone grouped || return 1
  oci restore -d --manage-cgroups-mode soft --image-path /run/grouped --work-path /run/work -b /t/grouped again < /dev/null \
    > /run/again.log 2>&1 || { cat /run/again.log; tail -n 20 /run/work/restore.log; return 1; }
  is "$(grep -c . "$(path_of again)/inner/cgroup.procs")" 1 && gone grouped && oci delete -f again && gone again
}

# Namespaces that somebody else keeps are joined, those that config.json names now.
test_checkpoint_in_names_by_path() {
  named_uts() { umount /run/uts 2> /dev/null; touch /run/uts; unshare -u sh -c "hostname $1; mount --bind /proc/self/ns/uts /run/uts"; }
  named_uts before && start named && is "$(oci exec named hostname)" before || return 1
  oci checkpoint --image-path /run/named --work-path /run/work named || { tail -n 20 /run/work/dump.log; return 1; }
  named_uts after
  oci restore -d --image-path /run/named --work-path /run/work -b /t/named again < /dev/null > /run/again.log 2>&1 ||
    { cat /run/again.log; tail -n 20 /run/work/restore.log; return 1; }
  is "$(oci exec again readlink /proc/self/ns/uts)" "uts:[$(stat -c %i /run/uts)]" || { oci exec again hostname; hostname; return 1; }
  oci delete -f again && umount /run/uts
}

test_checkpoint_in_processes_by_path() {
  new_pids() {
    umount /run/pids 2> /dev/null; touch /run/pids
    unshare -p -f sleep 1000 & eventually pidof sleep
    keeper=$(pidof sleep | cut -d' ' -f1); mount --bind "/proc/$keeper/ns/pid" /run/pids
  }
  new_pids && start numbered || return 1
  before=$(oci exec numbered readlink /proc/self/ns/pid)
  oci checkpoint --image-path /run/numbered --work-path /run/work numbered || { tail -n 20 /run/work/dump.log; return 1; }
  kill -9 "$keeper"; eventually [ ! -d "/proc/$keeper" ]; new_pids
  oci restore -d --pid-file /run/numbered.pid --image-path /run/numbered --work-path /run/work -b /t/numbered again < /dev/null \
    > /run/again.log 2>&1 || { cat /run/again.log; tail -n 20 /run/work/restore.log; return 1; }
  is "$(readlink "/proc/$(cat /run/numbered.pid)/ns/pid")" "$(readlink "/proc/$keeper/ns/pid")" && oci delete -f again &&
    kill -9 "$keeper" && umount /run/pids
}

# criu's own options, for this machine or for one container.
test_checkpoint_obeys_criu_configuration() {
  echo file-locks > /run/criu.conf
  start configured && eventually may_lock 1 || return 1
  oci checkpoint --image-path /run/configured --work-path /run/work configured || { tail -n 20 /run/work/dump.log; return 1; }
  oci restore -d --image-path /run/configured --work-path /run/work -b /t/configured again < /dev/null > /run/again.log 2>&1 ||
    { cat /run/again.log; tail -n 20 /run/work/restore.log; return 1; }
  may_lock 1 || { oci list; tail -n 20 /run/work/restore.log; return 1; }
  oci delete -f again || return 1
  mkdir -p /etc/criu && mv /run/criu.conf /etc/criu/runc.conf
  start locked && eventually may_lock 1 || return 1
  oci checkpoint --image-path /run/locked2 --work-path /run/work locked || { tail -n 20 /run/work/dump.log; return 1; }
  rm -r /etc/criu
}

test_features_know_that_criu_works() {
  has "$(oci features)" '"org.opencontainers.runc.checkpoint.enabled": "true"' &&
    has "$(oci --criu nowhere features)" '"org.opencontainers.runc.checkpoint.enabled": "false"'
}

test_a_new_network_has_its_loopback() {
  is "$(oci run -b /t/looped looped)" 0x9  # IFF_UP, IFF_LOOPBACK
}

test_restore_tells_why_it_can_not() {
  out=$(oci restore --image-path /run/no-images -b /t/count nothing 2>&1); is $? 1 && has "$out" "no checkpoint of ours" && gone nothing
}

test_nothing_is_left() {
  for id in $(oci list -q); do oci delete -f "$id" || return 1; done
  is "$(find /sys/fs/cgroup -mindepth 1 -type d ! -name sampan)" "" && is "$(ls /run/oci | grep -v 'seccomp cache')" "" &&
    is "$(grep -c /t/rootfs /proc/mounts)" 0
}

# Each in a shell of its own and for a bounded time; what it leaves running can't hold up the next.
run_test() {
  if timeout -s KILL 120 /bin/sh /t/guest.sh one "$1" < /dev/null > /said 2>&1; then printf '\nRESULT ok %s\n' "$1"; else
    printf '\n%s\n' "RESULT failed $1: $(tr '\r\n' '  ' < /said | tail -c 1500)"
  fi
}

mount_all() {
  mount -t proc proc /proc
  mount -t sysfs sys /sys
  mount -t devtmpfs dev /dev
  mkdir -p /dev/pts /dev/shm
  mount -t devpts -o newinstance,ptmxmode=0666 pts /dev/pts
  mount -t tmpfs tmp /dev/shm
  mount -t tmpfs -o mode=755 run /run
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
}

# On the initramfs itself, whose root pivot_root(2) refuses.
test_no_pivot_on_a_ramfs() {
  out=$(oci run -b /t/echo pivoted 2>&1); [ $? -ne 7 ] || { echo "pivot_root worked: no ramfs?"; return 1; }
  out=$(oci run --no-pivot -b /t/echo moved 2> /dev/null); is $? 7 && is "$out" out && gone moved
}

if [ "$1" = one ]; then
  "$2"
  exit
fi

if [ "$1" = first ]; then
  mount_all
  run_test test_no_pivot_on_a_ramfs
  umount /sys/fs/cgroup /run /dev/shm /dev/pts /dev /sys
  # A root that is a file system of its own, as everywhere else.
  mount -t tmpfs -o mode=755 root /new
  for name in bin etc lib lib64 usr t root tmp var; do [ ! -e /$name ] || cp -a /$name /new/; done
  mkdir -p /new/proc /new/sys /new/dev /new/run
  umount /proc
  exec switch_root /new /bin/sh /t/guest.sh second
fi

if [ "$1" = second ]; then
  mount_all
  # The first process of a system is there for orphans, too: `wait` takes in all of them.
  /bin/sh /t/guest.sh third &
  wait $!
  sync
  poweroff -f
fi

ip link set lo up
for module in $(cat /lib/modules/order); do insmod /lib/modules/$module.ko 2> /dev/null; done
only=$(grep -o 'tests=[^ ]*' /proc/cmdline | cut -d= -f2 | tr ',' ' ')
if [ -n "$only" ]; then
  for name in $only; do run_test "$name"; done
  exit
fi
for name in $(grep -o '^test_[a-z0-9_]*' /t/guest.sh | grep -v -e test_no_pivot -e test_nothing); do run_test "$name"; done
run_test test_nothing_is_left
