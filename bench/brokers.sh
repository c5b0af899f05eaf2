#!/usr/bin/env bash
# Installs the brokers that the bench compares with, from Debian's packages, and exits. Safe to repeat.
#
# The bench starts its own servers on free ports and in private folders. A package may start a service of
# its own when it is installed: what such an install started is stopped and disabled again. A service
# that was there before is left alone.
set -euo pipefail

packages=(nats-server redis-server rabbitmq-server mosquitto)

installed() {
  [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2> /dev/null)" = installed ]
}

command -v apt-get > /dev/null || { echo "apt-get is not here: install ${packages[*]} by other means" >&2; exit 1; }

missing=()
for package in "${packages[@]}"; do
  installed "$package" || missing+=("$package")
done

if [ "${#missing[@]}" -gt 0 ]; then
  [ "$(id -u)" = 0 ] || { echo "needs root for: apt-get install ${missing[*]}" >&2; exit 1; }
  # What runs before the install; a distribution node of Erlang leaves its name server behind.
  names_before=$(pgrep -x epmd || true)
  apt-get update
  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
  for package in "${missing[@]}"; do
    if [ -d /run/systemd/system ]; then
      systemctl disable --now "$package" 2> /dev/null || true
    elif [ -x "/etc/init.d/$package" ] && "/etc/init.d/$package" status > /dev/null 2>&1; then
      "/etc/init.d/$package" stop || true
    fi
  done
  for pid in $(pgrep -x epmd || true); do
    grep -qx "$pid" <<< "$names_before" || kill "$pid" 2> /dev/null || true
  done
fi

for package in "${packages[@]}"; do
  dpkg-query --show --showformat='${Package} ${Version}\n' "$package"
done
