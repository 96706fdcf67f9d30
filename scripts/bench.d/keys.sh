# scripts/bench keys: sealing and opening against the cipher alone in the same run, and what keys cost that are not in memory or are
# wrapped anew. Ends with 1 if sealing or opening a value of 256 bytes or more is below the goal.

GOAL=80
bench_start
run_example wardbook-keys keys_bench "$@" | tee "$WORK/keys.txt"
step "goal: at least $GOAL% of raw AES-256-SIV"
awk -v goal="$GOAL" '
  /^raw aes-siv encrypt/ { bytes = $(4) }
  /of raw: seal/ {
    seal = $4; open = $6
    gsub(/[%,]/, "", seal); gsub(/[%,]/, "", open)
    verdict = (seal >= goal && open >= goal) ? "reached" : "missed"
    printf "   %5d bytes: seal %d%%, open %d%%: %s\n", bytes, seal, open, verdict
    if (verdict == "missed" && bytes >= 256) failed = 1
  }
  END { exit failed }' "$WORK/keys.txt"
