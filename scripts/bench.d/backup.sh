# scripts/bench backup [EVENTS] [DOCUMENTS] [BYTES]: makes a ledger of so many events (default 1000000) and documents (default 20 of
# 10 MiB), backs it up to two places, verifies, restores and drills, in MB/s of what is backed up, and against a plain copy with
# fsync and sha256sum of the same bytes in the same run. Tells the drill's RTO and RPO in minutes.
# WARDBOOK_BENCH_BUILT names a directory of programs that are built already (target/debug, to try the script);
# WARDBOOK_BENCH_DATA a data directory that is copied instead of made.

apt_need jq jq
bench_start
EVENTS="${1:-1000000}"
DOCUMENTS="${2:-20}"
DOCUMENT_BYTES="${3:-10485760}"
BUILT="${WARDBOOK_BENCH_BUILT:-}"
if [ -z "$BUILT" ]; then
  step "build"
  cargo build --release --locked --quiet --package wardbook --bin wardbook --example fill
  BUILT="$CARGO_TARGET_DIR/release"
fi
WARDBOOK="$BUILT/wardbook" FILL="$BUILT/examples/fill"
mkdir -p "$WORK/one" "$WORK/two"
cat >"$WORK/ward.toml" <<EOF
[backup]
places = ["$WORK/one", "$WORK/two"]
key_file = "$WORK/backup.key"
include_root_file = true
EOF
export WARDBOOK_CONFIG="$WORK/ward.toml" WARDBOOK_DATA="$WORK/data"
ward() { "$WARDBOOK" --quiet "$@"; }
if [ -n "${WARDBOOK_BENCH_DATA:-}" ]; then
  step "copy of $WARDBOOK_BENCH_DATA"
  cp -a "$WARDBOOK_BENCH_DATA" "$WORK/data"
else
  step "fill with $EVENTS events and $DOCUMENTS documents"
  "$FILL" "$WORK/data" "$EVENTS" "$DOCUMENTS" "$DOCUMENT_BYTES" >"$WORK/out.txt"
  note "$(cat "$WORK/out.txt")"
fi
ward backup keys init >/dev/null
BACKED_UP=("$WORK/data/ledger/journal" "$WORK/data/documents")
BYTES=$(du -sbc "${BACKED_UP[@]}" | tail -1 | cut -f1)

# timed NAME BYTES COMMAND...: runs it, prints MB/s, leaves the nanoseconds in TOOK.
timed() {
  local name=$1 bytes=$2 began ended
  shift 2
  began=$(date +%s%N)
  "$@" >"$WORK/out.txt" || die "$name failed: $(tail -3 "$WORK/out.txt")"
  ended=$(date +%s%N)
  TOOK=$((ended - began))
  awk -v name="$name" -v bytes="$bytes" -v ns="$TOOK" 'BEGIN { printf "   %-32s %9.2f s %9.1f MB/s\n", name, ns / 1e9, bytes * 1e3 / ns }'
}
# ratio WHAT OURS THEIRS: how much slower than the plain thing.
ratio() { awk -v what="$1" -v a="$2" -v b="$3" 'BEGIN { printf "   %-32s %9.2f times the time of it\n", what, a / b }'; }
# Every byte durable, as a backup has it: what one dd an object does.
copy_flushed() {
  local to=$1 file
  rm -rf "$to"
  while read -r -d '' file; do
    mkdir -p "$to/$(dirname "$file")"
    dd if="$file" of="$to/$file" bs=4M conv=fsync status=none
  done < <(find "${BACKED_UP[@]}" -type f -print0)
}
copy_twice() { copy_flushed "$WORK/copy" && copy_flushed "$WORK/copy2"; }
hash_all() { find "${BACKED_UP[@]}" -type f -exec sha256sum {} +; }

step "$(ward verify --json | jq .entries) events, $((BYTES >> 20)) MiB of journal and documents"
timed "plain copy, fsync" "$BYTES" copy_flushed "$WORK/copy"
COPY=$TOOK
timed "plain copy twice, fsync" "$BYTES" copy_twice
TWICE=$TOOK
rm -rf "$WORK/copy" "$WORK/copy2"
timed "sha256sum" "$BYTES" hash_all
HASH=$TOOK
timed "create, two places, read back" "$BYTES" ward backup create --full --json
ratio "  against two plain copies" "$TOOK" "$TWICE"
note "documents: $(jq -c '{documents, document_bytes, documents_copied, documents_missing}' "$WORK/out.txt")"
timed "verify, one place" "$BYTES" ward backup verify --place "$WORK/one" --json
ratio "  against sha256sum" "$TOOK" "$HASH"
timed "verify the log (no backup)" "$BYTES" ward verify
timed "restore" "$BYTES" ward --data "$WORK/back" backup restore
ratio "  against a plain copy" "$TOOK" "$COPY"
rm -rf "$WORK/back"

step "drill, with 1000 events since the backup"
[ -n "${WARDBOOK_BENCH_DATA:-}" ] || "$FILL" "$WORK/data" 1000 >/dev/null
timed "drill, whole command" "$BYTES" ward backup drill --json
jq -r '"   passed \(.passed): \(.events) events, \(.patients) patients, \(.documents) documents, \(.views) views as attested",
  "   RTO \(.recovery_ms / 60000 * 100 | round / 100) minutes: \(.steps_ms | to_entries | map("\(.key) \(.value / 1000) s") | join(", "))",
  "   RPO \(.lost_s / 60 * 100 | round / 100) minutes, \(.lost_events) events"' "$WORK/out.txt"
ratio "  RTO against a plain copy" "$(jq '.recovery_ms * 1000000' "$WORK/out.txt")" "$COPY"
timed "incremental create" "$BYTES" ward backup create --incremental
