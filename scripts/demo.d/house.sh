# Sets a Wardbook up in a directory and talks to it: shared by scripts/demo and scripts/bench api.
# Needs WARDBOOK, the path of the built program. Everything goes through the same commands that a person would type.

# name:role pairs, one for each role.
HOUSE_USERS="admin:admin registrar:registrar physician:physician nurse:nurse billing:billing auditor:auditor officer:compliance-officer system:system-admin security:security-admin paramedic:paramedic"
HOUSE_ADDRESS=""
HOUSE_SCHEME=http
HOUSE_CA=""
# A session ends when another program uses it: whoever goes on with a login in a program of his own names that one.
export HOUSE_AGENT="${HOUSE_AGENT:-wardbook-house}"

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
    password=$(head -c 12 /dev/urandom | base64 | tr '+/' 'xy')-aZ7
    printf '%s' "$password" | "$WARDBOOK" user create --data "$data" --username "$name" --role "$role" --password-stdin >/dev/null
    echo "$name $role $password" >>"$data/demo-users"
  done
  step "import"
  "$WARDBOOK" import --data "$data" "$files"
  touch "$data/.filled"
}

# house_password NAME
house_password() { awk -v name="$1" '$1 == name { print $3 }' "$HOUSE_DATA/demo-users"; }

# house_settings: open at any hour, no second factor, so that what is typed needs nothing but curl, and no limits of rate: a script asks faster
# than a person.
house_settings() {
  printf '[organisation]\nworking_hours = ""\n[login]\nsecond_factor = "nobody"\n[rates]\n'
  printf '%s = 0\n' user_per_minute session_per_minute auth_per_minute read_per_minute write_per_minute public_per_minute \
    patients_per_hour opens_per_minute
}

# house_tls DIR: certificates below DIR, prints the settings that go with them; what is served afterwards is served over TLS.
house_tls() {
  scripts/dev-ca "$1/tls" >&2
  cat "$1/tls/settings.toml"
}

# house_serve DIR PORT LOG [CONFIG]: starts the server and waits until it is ready. Sets HOUSE_ADDRESS, HOUSE_PID.
house_serve() {
  HOUSE_DATA=$1
  HOUSE_ADDRESS="127.0.0.1:$2"
  [ -n "${4:-}" ] || { house_settings; [ "$HOUSE_SCHEME" = http ] || house_tls "$1"; } >"$1/demo.toml"
  if [ "$HOUSE_SCHEME" = https ]; then
    HOUSE_CA="$1/tls/ca.pem"
    export CURL_CA_BUNDLE="$HOUSE_CA"
  fi
  "$WARDBOOK" --config "${4:-$1/demo.toml}" serve --data "$1" --listen "$HOUSE_ADDRESS" >"$3" 2>&1 &
  HOUSE_PID=$!
  # Before the directories are removed, if any are.
  CLEANUP=("kill $HOUSE_PID 2>/dev/null; wait $HOUSE_PID 2>/dev/null" "${CLEANUP[@]:+${CLEANUP[@]}}")
  local waited
  for waited in $(seq 300); do
    curl -sf -o /dev/null "$HOUSE_SCHEME://$HOUSE_ADDRESS/health/ready" && return
    kill -0 "$HOUSE_PID" 2>/dev/null || die "the server stopped: $(tail -5 "$3")"
    sleep 0.1
  done
  die "the server is not ready after 30 s: see $3"
}

# house_login NAME: prints an access token.
house_login() {
  curl -sSf -A "$HOUSE_AGENT" "$HOUSE_SCHEME://$HOUSE_ADDRESS/v1/auth/login" -H 'Content-Type: application/json' \
    -d "{\"username\":\"$1\",\"password\":\"$(house_password "$1")\"}" | jq -r .access_token
}

# house_call TOKEN METHOD PATH [JSON]: one request; prints the answer's body.
house_call() {
  curl -sSf -A "$HOUSE_AGENT" -X "$2" "$HOUSE_SCHEME://$HOUSE_ADDRESS$3" -H "Authorization: Bearer $1" -H 'Content-Type: application/json' ${4:+-d "$4"}
}

# house_assign FILES: puts physician and nurse on every patient's care team, as the registrar, and prints the patients' ids.
# Found by name and birth date, as a person at a desk would; the relationship is what opens a chart.
house_assign() {
  local registrar search patient name function user
  registrar=$(house_login registrar)
  python3 scripts/python/searches.py "$1" | while read -r search; do
    for patient in $(house_call "$registrar" POST /v1/patients/search "$search" | jq -r '.patients[].patient'); do
      for name in physician:attending nurse:nursing; do
        function=${name#*:} name=${name%%:*}
        user=$(house_user "$name")
        house_call "$registrar" PUT "/v1/patients/$patient/care-team/$user" "{\"function\":\"$function\"}" >/dev/null
      done
      echo "$patient"
    done
  done
}

# house_user NAME: prints the user's id; kept, because each login costs an Argon2id hash.
house_user() {
  local kept="$HOUSE_DATA/.user-$1"
  [ -s "$kept" ] || house_call "$(house_login "$1")" GET /v1/auth/session | jq -r .user >"$kept"
  cat "$kept"
}

# house_patient_user PATIENT: a user for the person whom a chart is about, made by the administrator through the API.
house_patient_user() {
  grep -q '^patient ' "$HOUSE_DATA/demo-users" && return
  local password
  password=$(head -c 12 /dev/urandom | base64 | tr '+/' 'xy')-aZ7
  house_call "$(house_login admin)" POST /v1/users \
    "{\"username\":\"patient\",\"password\":\"$password\",\"roles\":[\"patient\"],\"patient\":\"$1\"}" >/dev/null
  echo "patient patient $password" >>"$HOUSE_DATA/demo-users"
}

# house_env PATIENT: what a person needs to try things, to be read by their shell.
house_env() {
  cat >"$HOUSE_DATA/demo.env" <<ENV
SERVER=$HOUSE_SCHEME://$HOUSE_ADDRESS
${HOUSE_CA:+export CURL_CA_BUNDLE='$HOUSE_CA' SSL_CERT_FILE='$HOUSE_CA'
}PATIENT=$1
export WARDBOOK_DATA='$HOUSE_DATA'
PATH='$(dirname "$WARDBOOK")':\$PATH
demo_password() { awk -v name="\$1" '\$1 == name { print \$3 }' "\$WARDBOOK_DATA/demo-users"; }
ENV
}

# house_patients FILES: prints the ids of the imported patients, whose care teams are then made.
house_patients() {
  [ -s "$HOUSE_DATA/demo-patients" ] || house_assign "$1" | sort -u >"$HOUSE_DATA/demo-patients"
  cat "$HOUSE_DATA/demo-patients"
}
