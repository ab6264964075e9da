#!/usr/bin/env bash
# A plan through a real SLURM on this machine: jobs are preempted, killed, timed out and cancelled, and the plan is submitted again;
# the records and verdicts must be those of a local run. Needs root on Debian or Ubuntu: it installs slurm-wlm and munge if they are
# absent. Everything is in a temporary folder, and its daemons are stopped at the end.
#
# usage: tests/cluster/one_node.sh [python]
# CPUS=1: cores that SLURM may use [default: all]; PATIENCE=900: seconds to wait for each thing on a slow machine [default: 300];
# KEEP=1: the temporary folder stays
set -euo pipefail
cd "$(dirname "$0")/../.."
python=$(realpath -s "${1:-.venv/bin/python}")
code=$PWD
paper=ottt

[ "$(id -u)" -eq 0 ] || { echo "run it as root: it starts SLURM's daemons" >&2; exit 1; }
if ! command -v slurmctld slurmd munged >/dev/null; then
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slurm-wlm munge >/dev/null
fi

work=$(mktemp -d)
host=$(hostname -s)
export SLURM_CONF=$work/slurm.conf PYTHONPATH=$code OMP_NUM_THREADS=1

stop() {
  trap - EXIT INT TERM
  if scancel --user="$(id -un)" 2>/dev/null; then # all jobs: only ours are in this SLURM
    for _ in $(seq 60); do [ -z "$(squeue -h 2>/dev/null)" ] && break; sleep 0.5; done
  fi
  for daemon in slurmd slurmctld munged; do
    [ -f "$work/$daemon.pid" ] && kill "$(cat "$work/$daemon.pid")" 2>/dev/null
  done
  sleep 1
  if [ -n "${KEEP:-}" ]; then echo "kept: $work"; else rm -rf "$work"; fi
}
trap stop EXIT
trap 'exit 130' INT TERM

free_port() { "$python" -c 'import socket; s = socket.socket(); s.bind(("", 0)); print(s.getsockname()[1])'; }

start_slurm() {
  mkdir -p "$work"/{ctld,slurmd,munge}
  chmod 711 "$work" "$work/munge"
  head -c 128 /dev/urandom >"$work/munge/key" && chmod 600 "$work/munge/key"
  cat >"$SLURM_CONF" <<CONF
ClusterName=one
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$(free_port)
SlurmdPort=$(free_port)
AuthType=auth/munge
AuthInfo=socket=$work/munge/socket,cred_expire=5
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$work/ctld
SlurmdSpoolDir=$work/slurmd
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
SlurmctldLogFile=$work/slurmctld.log
SlurmdLogFile=$work/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
MailProg=/bin/true
KillWait=3
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=low Nodes=$host Default=YES PriorityTier=1 MaxCPUsPerNode=${CPUS:-$(nproc)}
PartitionName=high Nodes=$host PriorityTier=2 PreemptMode=OFF
CONF
  munged --force --key-file="$work/munge/key" --socket="$work/munge/socket" --pid-file="$work/munged.pid" \
    --log-file="$work/munged.log" --seed-file="$work/munge/seed"
  slurmctld -f "$SLURM_CONF" 2>/dev/null
  slurmd -f "$SLURM_CONF" 2>/dev/null
  until_true "SLURM's node is idle" 'sinfo -h -o %T | grep -q idle'
}

# until_true WHAT CONDITION: wait for it, at most PATIENCE seconds; then show what SLURM and the suite say.
until_true() {
  local end=$((SECONDS + ${PATIENCE:-300}))
  while [ $SECONDS -lt $end ]; do
    if eval "$2" 2>/dev/null; then return; fi
    sleep 0.2
  done
  fail "it did not come about that $1"
}

fail() {
  echo "$1" >&2
  squeue >&2 || true
  spikecost status >&2 || true
  tail -n 20 "$work"/project/results/submissions/*/logs/*.out "$work"/slurm*.log >&2 || true
  exit 1
}

project() { # a project without results, so that no page of the checkout is written
  mkdir -p "$work/$1/results" && cp -r reproductions README.md "$work/$1/"
}

spikecost() { (cd "$code" && SPIKECOST_PROJECT=$work/project "$python" -m spikecost "$@"); }
job_of() { spikecost status --log "$1" | tail -n 1 | sed 's#.*/\([0-9_]*\)_0_log.out.*#\1#'; } # SLURM's id, by a part of a case's key
log_of() { spikecost status --log "$1" | tail -n 1 | sed 's#.*: \(/[^ ]*\).*#\1#'; }
pids_of() { scontrol listpids "$(squeue -h -j "$1" -o %A)" | awk 'NR > 1 { print $1 }'; }
workers_of() { for pid in $(pids_of "$1"); do grep -qs forkserver "/proc/$pid/cmdline" && echo "$pid"; done; }
step() { echo "$(date +%T) $*"; }

start_slurm
project project
project alone
mkdir -p "$work/data" # without data sets; digits are used instead
export SPIKECOST_DATA_ROOT=$work/data SPIKECOST_CACHE=$work/cache
mkdir -p "$work/data/.cifar-10-python.tar.gz.lock" # nor downloads
cat >"$work/cluster.toml" <<TOML
partition = "low"
cpus = 1
time = 10
warning_s = 20
minutes = 1
TOML

submit() { spikecost run $paper --scale smoke --on "$work/cluster.toml"; }
merged() { [ -z "$(squeue -h)" ] && ! spikecost status | grep -Eq "queued|running"; }

step "submitted"
submit
training=$(job_of /training/) log=$(log_of /training/)
gate=$(job_of /equivalence/none/r400/fashion-mnist/bptt/spikingjelly/) gate_log=$(log_of /equivalence/none/r400/fashion-mnist/bptt/spikingjelly/)
other=$(job_of /spikingjelly-multistep/)
[ "$(printf '%s\n' "$training" "$gate" "$other" | sort -u | wc -l)" -eq 3 ] || fail "not in three jobs: $training $gate $other"

step "job $training is preempted after its first checkpoint"
until_true "the training has a checkpoint" 'ls "$work"/project/results/scratch/*.checkpoint >/dev/null'
kill -STOP $(workers_of "$training") # else it may be done before it is killed
sbatch --quiet --partition=high --exclusive --output=/dev/null --wrap 'sleep 1'
until_true "the training is requeued" 'squeue -h -j "$training" -o %T | grep -q PENDING'

(
  until_true "job $gate runs" '[ -n "$(workers_of "$gate")" ]'
  step "job $gate hangs until its time is up"
  kill -STOP $(workers_of "$gate")
  ran=$(squeue -h -j "$gate" -o %M | awk -F: '{ print 60 * $1 + $2 }')
  scontrol update JobId="$gate" TimeLimit=$(((ran + 30) / 60 + 1)) # minutes
  until_true "it is requeued" 'grep -q "Requeued job" "$gate_log"'
  scontrol update JobId="$gate" TimeLimit=10
) &
hanging=$!
(
  until_true "job $other runs" '[ -n "$(workers_of "$other")" ]'
  step "job $other is killed"
  kill -KILL $(pids_of "$other")
) &
killing=$!
wait $hanging
wait $killing
until_true "all that is left is done, and merged" merged
went_on=$(sed "1,/PREEMPTION/d" "$log" | grep -m 1 "epoch ./2" | sed 's/.* image \([0-9]*\) of.*/\1/')
[ "$went_on" -gt 64 ] || fail "the training did not go on from its checkpoint, but at image $went_on"
spikecost status
spikecost status | grep -q " lost" || fail "no case is lost"

step "submitted again, and cancelled"
submit
again=$(job_of /spikingjelly-multistep/)
[ "$again" != "$other" ] || fail "it is not in a new job"
until_true "it runs" 'squeue -h -j "$again" -o %T | grep -q RUNNING'
scancel "$again"
until_true "it is gone, and the rest merged" merged

step "submitted a third time"
submit
until_true "all is done, and merged" merged
spikecost status
submit | grep "nothing to submit: 59 measured" || fail "something is left"

step "the same, run here"
(cd "$work/alone" && SPIKECOST_PROJECT=$work/alone "$python" -m spikecost run $paper --scale smoke --workers "${CPUS:-$(nproc)}")
"$python" tests/cluster/compare.py "$work/alone" "$work/project"
step "all equal"
