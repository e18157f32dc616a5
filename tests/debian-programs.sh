#!/bin/sh
# Installs the Debian packages of programs that are missing: sh debian-programs.sh PROGRAM[:PACKAGE] ...
# "venv" stands for Python's own module of that name. Where this user may not install, says what to install.
set -eu
missing=
for pair in "$@"; do
    program=${pair%%:*}
    package=${pair#*:}
    if [ "$program" = venv ]; then
        python3 -c 'import ensurepip, venv' 2>/dev/null && continue
    elif command -v "$program" >/dev/null || [ -x "/usr/sbin/$program" ]; then
        continue
    fi
    missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "these programs are missing; install:$missing" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get -q update >/dev/null
# A broker that starts as a service would take the port people try things on.
[ -e /usr/sbin/policy-rc.d ] || { printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d; chmod +x /usr/sbin/policy-rc.d; made=1; }
# shellcheck disable=SC2086
apt-get -q install -y --no-install-recommends $missing >/dev/null
[ -z "${made:-}" ] || rm /usr/sbin/policy-rc.d
