#!/bin/sh
# Inside namespaces of its own: sh room.sh ROOM LOWER BIND CHECKOUT COMMAND ...
# ROOM: an empty folder to mount on. LOWER: layers of the root, the uppermost first. BIND: HOST:INSIDE pairs, or "".
# CHECKOUT: copied to /guardpost, or "". What is written goes to memory and is gone with the namespace.
set -eu
room=$1 lower=$2 bind=$3 checkout=$4
shift 4
mount -t tmpfs -o mode=755 tmpfs "$room"
mkdir "$room/upper" "$room/work" "$room/root"
root=$room/root
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$room/upper,workdir=$room/work" "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
for pair in $bind; do
    mkdir -p "$root${pair#*:}"
    mount --bind "${pair%%:*}" "$root${pair#*:}"
done
mkdir "$root/guardpost"
if [ -n "$checkout" ]; then
    tar -C "$checkout" --exclude=./.venv --exclude=./.git --exclude=./var --exclude='./.*_cache' \
        --exclude=./.hypothesis --exclude=__pycache__ -c . | tar -C "$root/guardpost" --no-same-owner -x
fi
# Not chroot, inside of which nobody may make a user namespace.
mkdir "$root/before"
cd "$root"
pivot_root . before
umount --lazy /before
rmdir /before
ip link set lo up
cd /guardpost
# Not exec: as the first process here, the shell takes in orphans.
"$@"
