# Sets a Wardbook up in a directory and talks to it: shared by scripts/demo and scripts/bench api.
# Needs WARDBOOK, the path of the built program. Everything goes through the same commands that a person would type.

# name:role pairs, one for each role.
HOUSE_USERS="admin:admin registrar:registrar physician:physician nurse:nurse billing:billing auditor:auditor officer:compliance-officer"
HOUSE_ADDRESS=""

# house_fill DIR FILES: creates keys and ledger, a user of each role, and imports the patients. Does nothing that was done before.
house_fill() {
  local data=$1 files=$2 user name role
  [ -f "$data/.filled" ] && { note "$data is filled already"; return; }
  mkdir -p "$data"
  chmod 700 "$data"
  step "users"
  touch "$data/demo-users"
  chmod 600 "$data/demo-users"
  for user in $HOUSE_USERS; do
    name=${user%%:*} role=${user#*:}
    grep -q "^$name " "$data/demo-users" && continue
    local password
    password=$(head -c 12 /dev/urandom | base64 | tr '+/' 'xy')
    printf '%s' "$password" | "$WARDBOOK" user create --data "$data" --username "$name" --role "$role" --password-stdin >/dev/null
    echo "$name $role $password" >>"$data/demo-users"
  done
  step "import"
  # The physician's care team is how the demo shows that a relationship opens a chart.
  "$WARDBOOK" import --data "$data" --care-team physician,nurse "$files"
  touch "$data/.filled"
}

# house_password NAME
house_password() { awk -v name="$1" '$1 == name { print $3 }' "$HOUSE_DATA/demo-users"; }

# house_serve DIR PORT LOG [CONFIG]: starts the server and waits until it is ready. Sets HOUSE_ADDRESS, HOUSE_PID.
house_serve() {
  HOUSE_DATA=$1
  HOUSE_ADDRESS="127.0.0.1:$2"
  "$WARDBOOK" ${4:+--config "$4"} serve --data "$1" --listen "$HOUSE_ADDRESS" >"$3" 2>&1 &
  HOUSE_PID=$!
  # Before the directories are removed, if any are.
  CLEANUP=("kill $HOUSE_PID 2>/dev/null; wait $HOUSE_PID 2>/dev/null" "${CLEANUP[@]:+${CLEANUP[@]}}")
  local waited
  for waited in $(seq 300); do
    curl -sf -o /dev/null "http://$HOUSE_ADDRESS/health/ready" && return
    kill -0 "$HOUSE_PID" 2>/dev/null || die "the server stopped: $(tail -5 "$3")"
    sleep 0.1
  done
  die "the server is not ready after 30 s: see $3"
}

# house_login NAME: prints an access token.
house_login() {
  curl -sSf "http://$HOUSE_ADDRESS/v1/auth/login" -H 'Content-Type: application/json' \
    -d "{\"username\":\"$1\",\"password\":\"$(house_password "$1")\"}" | jq -r .access_token
}

# house_patients TOKEN: prints the ids of patients that the token's user may see.
house_patients() {
  curl -sSf "http://$HOUSE_ADDRESS/v1/patients?limit=100" -H "Authorization: Bearer $1" -H 'Purpose-Of-Use: TREAT' |
    jq -r '(.items // .patients)[] | .id // .patient'
}
