# scripts/bench tls: what TLS costs. Two servers with the same data, one plain and one with TLS, asked in turns by the same client;
# then new connections, against the signatures that OpenSSL makes with a key of the same size.

. scripts/demo.d/house.sh
SECONDS_EACH="${WARDBOOK_BENCH_SECONDS:-10}"
apt_need wrk wrk
apt_need jq jq
apt_need curl curl
apt_need openssl openssl
bench_start

WARDBOOK=$(bench_wardbook)
house_fill "$WORK/plain" tests/fixtures/fhir
house_serve "$WORK/plain" "$(free_port)" "$WORK/plain.log"
house_patients tests/fixtures/fhir >"$WORK/patients.txt"
kill "$HOUSE_PID"
wait "$HOUSE_PID" 2>/dev/null || true
cp -a "$WORK/plain" "$WORK/tls-data"

serve() { # NAME SCHEME
  HOUSE_SCHEME=$2
  house_serve "$WORK/$1" "$(free_port)" "$WORK/$1.log"
  house_login physician >"$WORK/$1.token"
  echo "$HOUSE_SCHEME://$HOUSE_ADDRESS" >"$WORK/$1.url"
}
serve plain http
serve tls-data https

cat >"$WORK/read.lua" <<'LUA'
local patients, turn = {}, 0
for line in io.lines(os.getenv("PATIENTS")) do patients[#patients + 1] = line end
local headers = { ["Authorization"] = "Bearer " .. os.getenv("TOKEN"), ["Purpose-Of-Use"] = "TREAT", ["User-Agent"] = os.getenv("HOUSE_AGENT") }
function request()
  turn = turn + 1
  return wrk.format("GET", "/v1/patients/" .. patients[turn % #patients + 1], headers)
end
function done(summary)
  local bad = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  io.write(string.format("result %.0f %d\n", summary.requests / summary.duration * 1e6, bad))
end
LUA
measure() { # NAME CONNECTIONS
  PATIENTS="$WORK/patients.txt" TOKEN=$(cat "$WORK/$1.token") wrk -t "$(($2 < 2 ? 1 : 2))" -c "$2" -d "${SECONDS_EACH}s" -s "$WORK/read.lua" \
    "$(cat "$WORK/$1.url")" | sed -n 's/^result //p'
}

step "audited chart reads a second, connections kept open"
printf '   %11s %10s %10s %8s %8s\n' connections plain TLS ratio errors
for connections in 1 16 64; do
  read -r plain wrong < <(measure plain "$connections")
  read -r tls bad < <(measure tls-data "$connections")
  no_errors $((wrong + bad))
  printf '   %11d %10d %10d %8s %8d\n' "$connections" "$plain" "$tls" "$(awk -v a="$tls" -v b="$plain" 'BEGIN { printf "%.2f", a / b }')" $((wrong + bad))
done

step "new connections a second (RSA-4096, TLS 1.3, nothing resumed)"
address=$(sed 's,.*//,,' "$WORK/tls-data.url")
made=$(openssl s_time -connect "$address" -new -tls1_3 -time "$SECONDS_EACH" 2>/dev/null | sed -n 's/^\([0-9]*\) connections in \([0-9]*\) real seconds.*/\1 \2/p')
signed=$(openssl speed -seconds 3 -multi "$(nproc)" rsa4096 2>/dev/null | awk '/^rsa 4096/ { print $6 }')
awk -v made="$made" -v signed="$signed" 'BEGIN {
  split(made, part, " ")
  rate = part[1] / part[2]
  printf "   %.0f connections a second from one client that makes them one by one; all cores sign %.0f times a second: ratio %.2f\n", rate, signed, rate / signed
}'
