# Shared by the benchmarks: a work directory on the disk to be measured, the release build, the PostgreSQL peer.
# Sourced by scripts/bench.

CLEANUP=()
on_exit() {
  local command
  for command in "${CLEANUP[@]:+${CLEANUP[@]}}"; do eval "$command" || true; done
}
trap on_exit EXIT

# bench_start: makes WORK and says what the figures depend on.
bench_start() {
  local base="${WARDBOOK_BENCH_DIR:-$CACHE/bench}"
  mkdir -p "$base"
  WORK=$(mktemp -d "$base/run-XXXXXX")
  CLEANUP+=("rm -rf '$WORK'")
  step "machine"
  note "$(nproc) cores, load $(cut -d' ' -f1-3 /proc/loadavg), $(df --output=fstype,source "$WORK" | tail -1 | tr -s ' ')"
  awk -v cores="$(nproc)" '$1 > cores / 2 { print "   NOT QUIET: other programs are running, the figures will be too low" }' /proc/loadavg
}

# bench_wardbook: prints the path of the release build; WARDBOOK_BIN is one that is there already.
bench_wardbook() {
  if [ -z "${WARDBOOK_BIN:-}" ]; then
    step "build" >&2
    cargo build --release --locked --quiet --bin wardbook >&2
  fi
  echo "${WARDBOOK_BIN:-$CARGO_TARGET_DIR/release/wardbook}"
}

# no_errors COUNT: figures of refusals are none.
no_errors() { [ "$1" -eq 0 ] || die "$1 requests were refused: what was measured is not what was meant"; }

# run_example PACKAGE NAME ARGUMENTS...: builds and runs an example; with TIME_MEMORY its peak memory is told.
run_example() {
  local package=$1 name=$2
  shift 2
  step "build $name"
  cargo build --release --locked --quiet --package "$package" --example "$name"
  step "$name $*"
  "$CARGO_TARGET_DIR/release/examples/$name" "$@"
}

# As an unprivileged user: PostgreSQL refuses to run as root.
as_postgres() { if [ "$(id -u)" -eq 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }

# postgres_start: a private cluster in WORK, on the loopback address, with every commit flushed. Sets PGPORT and PGBIN.
postgres_start() {
  step "PostgreSQL"
  PGBIN=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1 || true)
  if [ -z "$PGBIN" ] || [ ! -x "$PGBIN/pgbench" ]; then
    apt_need "postgres-server" postgresql postgresql-contrib
    PGBIN=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -1)
  fi
  local data="$WORK/postgres"
  mkdir -p "$data"
  if [ "$(id -u)" -eq 0 ]; then
    id postgres >/dev/null 2>&1 || die "the user postgres is missing: install Debian's postgresql"
    # The cluster lies below a home directory that others may not enter; a bind of rights along the path is what it takes.
    chown postgres "$data"
    as_postgres test -w "$data" || {
      WORK_PG=$(mktemp -d "$(df --output=target "$WORK" | tail -1 | sed 's,/$,,')/var/tmp/wardbook-pg-XXXXXX")
      chown postgres "$WORK_PG"
      CLEANUP+=("rm -rf '$WORK_PG'")
      data="$WORK_PG"
      [ "$(df --output=source "$data" | tail -1)" = "$(df --output=source "$WORK" | tail -1)" ] || die "no directory for PostgreSQL on the same disk"
    }
  fi
  export PGPORT PGHOST=127.0.0.1 PGUSER=bench PGDATABASE=postgres
  PGPORT=$(free_port)
  (cd / && as_postgres "$PGBIN/initdb" -D "$data/db" -U bench --auth=trust --encoding=UTF8 --locale=C) >"$WORK/initdb.log" 2>&1 || die "initdb failed: $(tail -3 "$WORK/initdb.log")"
  # wal_sync_method is fdatasync as in our journal; the rest is what an administrator would set on a machine of this size.
  cat >>"$data/db/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1'
port = $PGPORT
unix_socket_directories = ''
max_connections = 300
synchronous_commit = on
fsync = on
wal_sync_method = fdatasync
shared_buffers = 512MB
max_wal_size = 4GB
CONF
  (cd / && as_postgres "$PGBIN/pg_ctl" -D "$data/db" -w -l "$data/log" start) >/dev/null || die "PostgreSQL does not start: see $data/log"
  CLEANUP=("(cd / && as_postgres '$PGBIN/pg_ctl' -D '$data/db' -m immediate -w stop) >/dev/null" "${CLEANUP[@]}")
  "$PGBIN/psql" -q -v ON_ERROR_STOP=1 <<'SQL'
create table patient (id int primary key, chart text not null);
insert into patient select i, repeat(md5(i::text), 32) from generate_series(1, 10000) i;
create table audit (position bigserial primary key, at timestamptz not null default now(), patient int not null, body text not null);
create index on audit (patient, position);
vacuum analyze patient;
SQL
  # One transaction = insert a 1 KiB audit row, then read the patient's row: what we do for one audited read.
  cat >"$WORK/peer.sql" <<'SQL'
\set id random(1, 10000)
begin;
insert into audit (patient, body) values (:id, repeat('x', 1024));
select chart from patient where id = :id;
commit;
SQL
}

# postgres_measure CLIENTS SECONDS: prints "tps p50 p99 p99.9" (latencies in ms).
postgres_measure() {
  local log="$WORK/pgbench-$1"
  local threads=$(($1 < 2 ? 1 : 2))
  (cd "$WORK" && "$PGBIN/pgbench" -n -M prepared -f peer.sql -c "$1" -j "$threads" -T "$2" -l --log-prefix="$log" >"$log.out" 2>"$log.err") ||
    die "pgbench failed: $(tail -3 "$log.err")"
  local tps
  tps=$(awk '/^tps/ { printf "%.0f", $3 }' "$log.out")
  cat "$log".[0-9]* | awk '{ print $3 }' | sort -n | awk -v tps="$tps" '
    { us[NR] = $1 }
    function at(q, i) { i = int(NR * q) + 1; return us[i > NR ? NR : i] / 1000 }
    END { printf "%s %.2f %.2f %.2f\n", tps, at(0.5), at(0.99), at(0.999) }'
}
