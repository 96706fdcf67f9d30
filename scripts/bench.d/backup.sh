# scripts/bench backup [PATIENTS] [BINARY]: making, verifying, trying out and restoring a backup, in MB/s of the journal, against a
# plain copy (cp, flushed) and sha256sum of the same files in the same run. A create keeps two copies and reads both back.

apt_need jq jq
bench_start
PATIENTS="${1:-2000}"
if [ -n "${2:-}" ]; then
  WARDBOOK=$2
else
  step "build"
  cargo build --release --locked --quiet --bin wardbook
  WARDBOOK="$CARGO_TARGET_DIR/release/wardbook"
fi
step "import $PATIENTS patients"
scripts/generate-patients "$PATIENTS" "$WORK/patients" >/dev/null
mkdir -p "$WORK/one" "$WORK/two"
cat >"$WORK/ward.toml" <<EOF
[backup]
places = ["$WORK/one", "$WORK/two"]
key_file = "$WORK/backup.key"
include_root_file = true
EOF
export WARDBOOK_CONFIG="$WORK/ward.toml" WARDBOOK_DATA="$WORK/data"
ward() { "$WARDBOOK" --quiet "$@"; }
ward import "$WORK/patients" >/dev/null
ward backup keys init >/dev/null
JOURNAL="$WORK/data/ledger/journal"
BYTES=$(du -sb "$JOURNAL" | cut -f1)

# timed NAME BYTES COMMAND...: runs it and prints MB/s.
timed() {
  local name=$1 bytes=$2 began ended
  shift 2
  began=$(date +%s%N)
  "$@" >"$WORK/out.txt"
  ended=$(date +%s%N)
  awk -v name="$name" -v bytes="$bytes" -v ns=$((ended - began)) \
    'BEGIN { printf "   %-28s %9.2f s %9.1f MB/s\n", name, ns / 1e9, bytes * 1e3 / ns }'
}
copy_flushed() { cp -r "$JOURNAL" "$WORK/copy" && sync -f "$WORK/copy"; }
hash_all() { find "$JOURNAL" -type f -exec sha256sum {} +; }
step "$(ward verify --json | jq .entries) events, $((BYTES >> 20)) MiB of journal"
timed "cp and flush" "$BYTES" copy_flushed
timed "sha256sum" "$BYTES" hash_all
timed "gzip -1 (size below)" "$BYTES" sh -c "cat '$JOURNAL'/*.seg | gzip -1 | wc -c"
note "compressed to $(awk -v a="$(cat "$WORK/out.txt")" -v b="$BYTES" 'BEGIN { printf "%.0f%%", 100 * a / b }')"
timed "create, two places" "$BYTES" ward backup create --full --json
timed "verify, one place" "$BYTES" ward backup verify --place "$WORK/one"
timed "restore" "$BYTES" ward --data "$WORK/back" backup restore
timed "verify the log (no backup)" "$BYTES" ward verify
timed "incremental create" "$BYTES" ward backup create --incremental
step "drill"
ward backup drill
