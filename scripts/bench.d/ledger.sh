# scripts/bench ledger: durable appends against the physical limit and against PostgreSQL, one after the other on the same disk.
# The example `ledger-bench` of wardbook-ledger prints, for each number of producers, a line
#   result <ours|raw> <producers> <events/s> <p50 ms> <p99 ms> <p99.9 ms>
# Its `raw` is a file to which the same bytes are appended in the same batches, with one fdatasync a batch.

SECONDS_EACH="${WARDBOOK_BENCH_SECONDS:-10}"
bench_start
postgres_start
run_example wardbook-ledger ledger-bench --dir "$WORK/ledger" --seconds "$SECONDS_EACH" --producers 1,16,64,256 | tee "$WORK/ours.txt"
for clients in 1 16 64 256; do
  note "pgbench, $clients clients, $SECONDS_EACH s"
  echo "result postgres $clients $(postgres_measure "$clients" "$SECONDS_EACH")" >>"$WORK/peer.txt"
done
step "durable events a second"
awk '
  $1 == "result" { rate[$2, $3] = $4; p50[$2, $3] = $5; p99[$2, $3] = $6; p999[$2, $3] = $7; if (!seen[$3]++) order[++n] = $3 }
  function line(who, k) { printf "   %-10s %9d %12d %10.2f %10.2f %10.2f\n", who, k, rate[who, k], p50[who, k], p99[who, k], p999[who, k] }
  function judge(text, got, goal, better) { printf "   %-44s %8.2f   goal %s %g: %s\n", text, got, better, goal, ((better == ">=") ? got >= goal : got <= goal) ? "met" : "MISSED" }
  END {
    printf "   %-10s %9s %12s %10s %10s %10s\n", "", "producers", "events/s", "p50 ms", "p99 ms", "p99.9 ms"
    for (i = 1; i <= n; i++) { k = order[i]; line("ours", k); line("raw", k); line("postgres", k) }
    for (i = 1; i <= n; i++) {
      k = order[i]
      if (rate["raw", k]) printf "   at %3d: %6.1f%% of raw, %6.2f times PostgreSQL, p99 %5.2f times raw\n", k, 100 * rate["ours", k] / rate["raw", k], rate["ours", k] / rate["postgres", k], p99["ours", k] / p99["raw", k]
    }
    judge("ours / raw at 16 producers", rate["ours", 16] / rate["raw", 16], 0.80, ">=")
    judge("ours / raw at 64 producers", rate["ours", 64] / rate["raw", 64], 0.95, ">=")
    judge("ours / PostgreSQL at 64", rate["ours", 64] / rate["postgres", 64], 8, ">=")
    judge("p99 ours / p99 raw at 64", p99["ours", 64] / p99["raw", 64], 1.5, "<=")
  }' "$WORK/ours.txt" "$WORK/peer.txt"
