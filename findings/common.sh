# What the findings share, sourced by each: a temporary folder that is removed at the end, processes ended by their pid, and pinned
# packages put into that folder and nowhere else. No finding belongs in here. Exit codes: 0 the behaviour is still as described,
# 1 it has changed, 2 it could not be tried (a pinned version is not to be had, or a tool is missing).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=$(mktemp -d)
pids=()

clean_up() {
  local pid
  for pid in ${pids[@]+"${pids[@]}"}; do
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  rm -rf "$folder"
}
trap clean_up EXIT
trap 'exit 2' INT TERM

cannot() {
  echo "Not tried: $1" >&2
  exit 2
}

# pypi NAME==VERSION ...: every package that is needed, by name, so that nothing comes in a version of today
pypi() {
  python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps --target "$folder/python" "$@" ||
    cannot "pip has no $*"
}

# npm_packages NAME@VERSION ...: what these need is installed as they ask for it
npm_packages() {
  echo '{"private": true}' >"$folder/package.json"
  (cd "$folder" && npm install --silent --no-audit --no-fund "$@") || cannot "npm has no $*"
}

# debian NAME=VERSION ...: unpacked, not installed; afterwards the programs are found first
debian() {
  mkdir -p "$folder/debs"
  (cd "$folder/debs" && apt-get -qq download "$@" 2>"$folder/apt.log") || cannot "apt-get has no $* (see apt-get update)"
  local deb
  for deb in "$folder"/debs/*.deb; do dpkg -x "$deb" "$folder/debian"; done
  export PATH="$folder/debian/usr/bin:$folder/debian/usr/sbin:$PATH"
  export LD_LIBRARY_PATH="$folder/debian/usr/lib/$(dpkg-architecture -q DEB_HOST_MULTIARCH 2>/dev/null || echo x86_64-linux-gnu)"
}

# A port below the range the system hands out, so that nobody gets it between here and the broker that is to have it
free_port() {
  python3 - <<'PYTHON'
import random
import socket

while True:
    port = random.randrange(20000, 32000)
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        continue
    print(port)
    break
PYTHON
}

wait_for_port() {
  local tries
  for tries in $(seq 100); do
    if python3 -c "import socket; socket.create_connection(('127.0.0.1', $1), 1)" 2>/dev/null; then return; fi
    sleep 0.1
  done
  cannot "nothing listens on port $1 after $tries tries; $(cat "$folder/broker.log")"
}

# mosquitto_broker [SETTING ...]: Debian's broker, on loopback, in the background; sets `port`
mosquitto_broker() {
  debian mosquitto=2.0.11-1.2+deb12u2 mosquitto-clients=2.0.11-1.2+deb12u2 libmosquitto1=2.0.11-1.2+deb12u2 \
    libcjson1=1.7.15-1+deb12u4 libdlt2=2.18.8-6 libwrap0=7.6.q-32
  port=$(free_port)
  printf '%s\n' "listener $port 127.0.0.1" "allow_anonymous true" "persistence false" "user $(id -un)" "$@" >"$folder/mosquitto.conf"
  mosquitto -c "$folder/mosquitto.conf" >"$folder/broker.log" 2>&1 &
  pids+=($!)
  wait_for_port "$port"
}

# mochi_broker: the Go broker of github.com/mochi-mqtt/server v2.7.9 as it comes, on loopback, in the background; sets `port`
mochi_broker() {
  command -v go >/dev/null || cannot "no Go toolchain"
  mkdir "$folder/mochi"
  cat >"$folder/mochi/main.go" <<'GO'
package main

import (
	"os"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
)

func main() {
	server := mqtt.New(nil)
	server.AddHook(new(auth.AllowHook), nil)
	if err := server.AddListener(listeners.NewTCP(listeners.Config{ID: "tcp", Address: "127.0.0.1:" + os.Args[1]})); err != nil {
		panic(err)
	}
	server.Serve()
	select {}
}
GO
  (
    cd "$folder/mochi"
    export GOMODCACHE="$folder/go" GOFLAGS="-modcacherw -trimpath -mod=mod" GOWORK=off
    go mod init finding && go get github.com/mochi-mqtt/server/v2@v2.7.9 && go build -o broker .
  ) >"$folder/go.log" 2>&1 || cannot "mochi 2.7.9 was not built: $(tail -1 "$folder/go.log")"
  port=$(free_port)
  "$folder/mochi/broker" "$port" >"$folder/broker.log" 2>&1 &
  pids+=($!)
  wait_for_port "$port"
}

# python ARG ...: with the packages of `pypi`
python() {
  PYTHONPATH="$here:$folder/python" PYTHONDONTWRITEBYTECODE=1 python3 "$@"
}

# run_python ARG ...: the program on standard input, for half a minute at most
run_python() {
  cat >"$folder/finding.py"
  PYTHONPATH="$here:$folder/python" PYTHONDONTWRITEBYTECODE=1 timeout 30 python3 "$folder/finding.py" "$@"
}
