# shellcheck shell=bash disable=SC2034
# What the scripts of this folder share: places, addresses, and how they speak. Sourced, never run.

CLUSTER_HOME=${CLUSTER_HOME:-$HOME/.cache/flame-cluster}
scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# What `build` makes depends on `build` alone, so its text names the folder: a changed script builds anew.
built=$CLUSTER_HOME/built-$(sha256sum "$scripts/build" | cut -c1-12)
packages=$built/packages # Debian packages, unpacked
# Everything of one run of the cluster; a new `up` begins it anew.
run=$CLUSTER_HOME/run
keys=$run/keys
socket=$run/containerd.sock

# The host and the node are the two ends of one cable; the node forwards to the pods and services behind it.
host_ip=10.200.0.1
node_ip=10.200.0.2
pod_range=10.88.0.0/16
service_range=10.96.0.0/16
cable=flame0 # the host's end
# The node's cgroups; the host's own controllers (v1), since the node shares the host's kernel.
cgroup=flame-cluster
controllers="cpu cpuacct cpuset memory devices freezer blkio pids systemd"

export PATH=$built/bin:$PATH:$packages/usr/bin:$packages/usr/sbin # the machine's own kubectl comes first

say() { printf '[%3d s] %s\n' "$SECONDS" "$*"; }
fail() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }

# need TOOL=PACKAGE...: names at once everything that is not there.
need() {
    local pair lacking=()
    for pair in "$@"; do command -v "${pair%%=*}" >/dev/null || lacking+=("$pair"); done
    [ "${#lacking[@]}" -eq 0 ] ||
        fail "this machine lacks ${lacking[*]%%=*}; on Debian: apt-get install ${lacking[*]##*=}"
}

# within SECONDS WHAT COMMAND...: runs it again and again until it succeeds.
within() {
    local end=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || fail "$what: not in time; the logs are in $run/logs"
        sleep 0.1
    done
}
