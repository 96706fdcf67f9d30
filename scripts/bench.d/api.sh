# scripts/bench api: audited chart reads a second through the whole stack, driven by wrk from a second process.
# Every read is a durable signed event before its answer leaves; the peer is PostgreSQL doing the same work in one transaction.

. scripts/demo.d/house.sh
SECONDS_EACH="${WARDBOOK_BENCH_SECONDS:-10}"
apt_need wrk wrk
apt_need jq jq
apt_need curl curl
bench_start
postgres_start

WARDBOOK=$(bench_wardbook)
files="${WARDBOOK_BENCH_FILES:-tests/fixtures/fhir}"
house_fill "$WORK/data" "$files"
# The stages' times come in a header, for every answer; they are averaged over a sample at the end.
{ printf '[server]\ntiming = true\n'; house_settings; } >"$WORK/bench.toml"
house_serve "$WORK/data" "$(free_port)" "$WORK/server.log" "$WORK/bench.toml"

step "care teams, log in"
house_patients "$files" >"$WORK/patients.txt"
token=$(house_login physician)
note "$(wc -l <"$WORK/patients.txt") patients"
[ -s "$WORK/patients.txt" ] || die "no patient to read: see $WORK/server.log"

cat >"$WORK/read.lua" <<'LUA'
local patients = {}
for line in io.lines(os.getenv("PATIENTS")) do patients[#patients + 1] = line end
local headers = { ["Authorization"] = "Bearer " .. os.getenv("TOKEN"), ["Purpose-Of-Use"] = "TREAT", ["User-Agent"] = os.getenv("HOUSE_AGENT") }
local turn = 0
local first = 0
function setup(thread) thread:set("first", first); first = first + 7 end
function init() turn = first end
function request()
  turn = turn + 1
  return wrk.format("GET", "/v1/patients/" .. patients[turn % #patients + 1], headers)
end
function done(summary, latency)
  local bad = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  io.write(string.format("result %.0f %.2f %.2f %.2f %d\n", summary.requests / summary.duration * 1e6,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, latency:percentile(99.9) / 1000, bad))
end
LUA
step "audited chart reads a second"
printf '   %11s %10s %10s %10s %10s %8s %12s %8s\n' connections reads/s 'p50 ms' 'p99 ms' 'p99.9 ms' errors postgres/s ratio
for connections in 1 16 64; do
  threads=$((connections < 2 ? 1 : 2))
  PATIENTS="$WORK/patients.txt" TOKEN="$token" wrk -t "$threads" -c "$connections" -d "${SECONDS_EACH}s" -s "$WORK/read.lua" \
    "http://$HOUSE_ADDRESS" >"$WORK/wrk-$connections.txt"
  read -r _ rate p50 p99 p999 errors < <(grep '^result' "$WORK/wrk-$connections.txt")
  no_errors "$errors"
  read -r peer _ < <(postgres_measure "$connections" "$SECONDS_EACH")
  printf '   %11d %10d %10s %10s %10s %8d %12d %8s\n' "$connections" "$rate" "$p50" "$p99" "$p999" "$errors" "$peer" \
    "$(awk -v a="$rate" -v b="$peer" 'BEGIN { printf "%.2f", a / b }')"
done
note "goal: at least 3 times PostgreSQL through the whole stack"

step "share of time in each stage (one client, 300 reads)"
for patient in $(shuf -r -n 300 "$WORK/patients.txt"); do
  curl -sS -A "$HOUSE_AGENT" -o /dev/null -D - "http://$HOUSE_ADDRESS/v1/patients/$patient" -H "Authorization: Bearer $token" -H 'Purpose-Of-Use: TREAT'
done | tr -d '\r' | awk -F': *' '
  tolower($1) == "server-timing" {
    reads++
    stages = split($2, stage, / *, */)
    for (i = 1; i <= stages; i++) {
      split(stage[i], part, /;dur=/)
      if (!(part[1] in spent)) order[++names] = part[1]
      spent[part[1]] += part[2]
      if (part[1] != "total") sum += part[2]
    }
  }
  END {
    if (!reads) { print "   the answers carry no Server-Timing"; exit }
    for (i = 1; i <= names; i++) printf "   %-14s %8.3f ms %6.1f%%\n", order[i], spent[order[i]] / reads, 100 * spent[order[i]] / sum
  }'
