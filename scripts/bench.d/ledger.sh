# scripts/bench ledger: durable appends against the physical limit and against PostgreSQL, one after the other on the same disk.
# `raw` is a file to which as many bytes are appended in batches, one fdatasync a batch; the better of its two ways of writing counts.

SECONDS_EACH="${WARDBOOK_BENCH_SECONDS:-5}"
bench_start
postgres_start
run_example wardbook-ledger ledger-bench append --dir "$WORK/ledger" --seconds "$SECONDS_EACH" --rounds 3 --producers 1,16,64,256 \
  --json "$WORK/ours.json"
for clients in 1 16 64 256; do
  step "pgbench, $clients clients, $((3 * SECONDS_EACH)) s"
  echo "$clients $(postgres_measure "$clients" "$((3 * SECONDS_EACH))")" >>"$WORK/peer.txt"
done
step "durable events a second"
python3 scripts/python/ledger_table.py "$WORK/ours.json" "$WORK/peer.txt"
