# scripts/bench ledger: durable appends against the physical limit and against PostgreSQL, one after the other on the same disk.
# `raw` is a file to which as many bytes are appended in batches, one fdatasync a batch; the better of its two ways of writing counts.
# Ours and raw take turns, so that what disturbs the machine disturbs both. Where a flush is quick, processor time is the limit;
# the last table shows the same with 5 ms added to every flush.

SECONDS_EACH="${WARDBOOK_BENCH_SECONDS:-3}"
ROUNDS="${WARDBOOK_BENCH_ROUNDS:-5}"
bench_start
postgres_start
run_example wardbook-ledger ledger-bench append --dir "$WORK/ledger" --seconds "$SECONDS_EACH" --rounds "$ROUNDS" \
  --producers 1,16,64,256 --json "$WORK/ours.json"
for clients in 1 16 64 256; do
  step "pgbench, $clients clients, $((3 * SECONDS_EACH)) s"
  echo "$clients $(postgres_measure "$clients" "$((3 * SECONDS_EACH))")" >>"$WORK/peer.txt"
done
step "durable events a second"
python3 scripts/python/ledger_table.py "$WORK/ours.json" "$WORK/peer.txt"
run_example wardbook-ledger ledger-bench append --dir "$WORK/ledger" --seconds "$SECONDS_EACH" --rounds 3 \
  --producers 16,64,256 --flush-ms 5 --json "$WORK/slow.json"
