//! Backups: made while the server serves, verified, tried out, put back.

mod documents;
mod keys;

use std::fs;
use std::path::{Path, PathBuf};

use jiff::SignedDuration;
use serde_json::{Value, json};
use tempfile::TempDir;
use wardbook::app::{App, OpenError, OpenOptions};
use wardbook::backup::{
    self, Asked, Catalog, Manifest, Place, Reach, Restore, RestoreError, Setup, key_backups, schedule,
};
use wardbook::by::By;
use wardbook::clock::{Chance, Clock};
use wardbook::config::{self, Config, DataDir};
use wardbook_events::backups::{BackupCreated, BackupKind};
use wardbook_events::{BackupId, PatientId, Role};
use wardbook_keys::BackupKey;
use wardbook_ledger::{LogReader, OpenError as LedgerOpenError, Position};

use crate::helpers::{TestApp, block_on, noon, person, quick_config};

const FULL: Asked = Asked::Kind(BackupKind::Full);
const INCREMENTAL: Asked = Asked::Kind(BackupKind::Incremental);

/// A hospital with two places for backups.
struct House {
    test: TestApp,
    dir: TempDir,
}

fn settings(dir: &Path) -> config::Backup {
    let places = ["one", "two"].map(|name| dir.join(name));
    places.iter().for_each(|place| fs::create_dir_all(place).unwrap());
    let key_file = dir.join("backup.key");
    if !key_file.exists() {
        BackupKey::create(&key_file).unwrap();
    }
    config::Backup {
        places: places.iter().map(|place| place.to_str().unwrap().to_owned()).collect(),
        key_file,
        include_root_file: true,
        ..config::Backup::default()
    }
}

fn config(dir: &Path) -> Config {
    let mut config = quick_config();
    config.backup = settings(dir);
    config.check().unwrap();
    config
}

impl House {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let test = TestApp::with(config(dir.path()));
        test.user("registrar", &[Role::Registrar], None);
        test.user("system", &[Role::SystemAdmin], None);
        Self { test, dir }
    }

    fn place(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn setup(&self) -> Setup {
        Setup::open(&self.test.app.config().backup).unwrap()
    }

    fn register(&self, family: &str, count: usize) -> Vec<String> {
        let registrar = self.test.log_in("registrar");
        let made = (0..count).map(|_| registrar.post("/v1/patients", &person(family)));
        made.map(|answer| {
            assert_eq!(answer.status, 201, "{}", answer.text());
            answer.json()["patient"].as_str().unwrap().to_owned()
        })
        .collect()
    }

    fn back_up(&self, asked: Asked) -> BackupCreated {
        let app = &self.test.app;
        let ran = backup::run(app, &By::system(app).unwrap(), asked, &()).unwrap();
        assert!(ran.made.failed.is_empty() && ran.wrong.is_empty(), "{ran:?}");
        self.test.clock.advance(SignedDuration::from_secs(1));
        ran.made.created
    }

    fn restore(&self, target: &Path, backup: Option<BackupId>, reach: Reach) -> Result<backup::Restored, RestoreError> {
        let (setup, documents) = (self.setup(), &self.test.app.config().documents);
        Restore { setup: &setup, backup, reach, target: DataDir::new(target), documents }.run(&())
    }

    /// The objects of a backup at a place.
    fn objects(&self, place: &str, backup: BackupId) -> Vec<PathBuf> {
        let dir = self.place(place).join(format!("backups/{backup}"));
        let mut all: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        all.sort();
        all
    }
}

fn stored(dir: &Path) -> Vec<Vec<u8>> {
    let reader = LogReader::open(&dir.join("ledger")).unwrap();
    reader.scan_stored(Position(0)).map(Result::unwrap).collect()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => all.extend(files(&entry.path())),
            false => all.push(entry.path()),
        }
    }
    all
}

fn open(config: Config, dir: &Path, accept_rollback: bool) -> Result<App, OpenError> {
    let options = OpenOptions { accept_rollback };
    App::open(config, DataDir::new(dir), Clock::set_to(noon()), Chance::system(), options, &())
}

fn until_done(client: &crate::helpers::Client) -> Value {
    for _ in 0..1_000 {
        let job = client.get("/v1/backups").json()["job"].clone();
        if job["state"] != "running" {
            return job;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("it does not end");
}

#[test]
fn a_backup_is_made_while_requests_run_and_what_comes_back_is_the_same() {
    let house = House::new();
    let first = house.register("Before", 3);
    let system = house.test.log_in("system");
    std::thread::scope(|scope| {
        let busy = scope.spawn(|| house.register("Meanwhile", 25));
        assert_eq!(system.post("/v1/backups", &json!({})).status, 202);
        let job = until_done(&system);
        assert_eq!((&job["what"], &job["state"]), (&json!("create"), &json!("done")), "{job}");
        busy.join().unwrap();
    });
    house.register("After", 2);
    let last = house.back_up(INCREMENTAL);
    assert_eq!(last.kind, BackupKind::Incremental);
    let listed = system.get("/v1/backups").json();
    let kinds: Vec<_> = listed["backups"].as_array().unwrap().iter().map(|one| one["kind"].clone()).collect();
    assert_eq!(kinds, ["incremental", "full"], "{listed}");
    for place in &house.setup().places {
        let (_, verified) = backup::verify(place, &house.setup().key, Some(last.backup), &()).unwrap();
        assert!(verified.is_whole(), "{:?}", verified.findings);
        assert_eq!((verified.events, verified.root.as_str()), (last.to, last.root.as_str()));
    }
    let back = tempfile::tempdir().unwrap();
    let restored = house.restore(back.path(), None, Reach::End).unwrap();
    assert_eq!((restored.told.to, restored.told.keys_missing, restored.told.erased), (last.to, 0, 0));
    assert_eq!(restored.patients.len(), 30);
    assert_eq!(stored(back.path()), stored(house.test.app.data().root())[..usize::try_from(last.to).unwrap()]);
    let live = house.test.stop();
    drop(live);
    // Opens, tells where it came from, and the chart can be read.
    let again = TestApp::in_dir(config(house.dir.path()), back);
    let registrar = again.log_in_after(last.to - 1, "registrar");
    assert_eq!(registrar.get(&format!("/v1/patients/{}", first[0])).json()["name"]["family"], "Before");
    let reader = LogReader::open(&again.app.data().ledger()).unwrap();
    let told =
        reader.scan(Position(last.to)).map(Result::unwrap).find(|one| one.event_type().as_str() == "backups.restored");
    let told: Value = serde_json::from_slice(told.unwrap().body()).unwrap();
    assert_eq!((&told["to"], &told["from"]), (&json!(last.to), &json!(last.to)), "{told}");
}

#[test]
fn only_those_who_run_the_server_see_and_make_backups() {
    let house = House::new();
    for role in [Role::Physician, Role::Registrar, Role::Auditor, Role::Admin] {
        let name = format!("some-{}", role.name());
        house.test.user(&name, &[role], None);
        let client = house.test.log_in(&name);
        assert_eq!(client.get("/v1/backups").status, 403, "{role:?}");
        assert_eq!(client.post("/v1/backups", &json!({})).status, 403, "{role:?}");
        assert_eq!(client.post("/v1/backups/drills", &json!({})).status, 403, "{role:?}");
    }
    let system = house.test.log_in("system");
    let nothing = format!("/v1/backups/{}/verify", BackupId::from_bytes([7; 16]));
    assert_eq!(system.post(&nothing, &json!({})).status, 404);
}

#[test]
fn a_drill_brings_the_system_back_beside_itself_and_measures_it() {
    let mut settings = config(tempfile::tempdir().unwrap().keep().as_path());
    settings.views.attest_every_events = 5;
    let test = TestApp::with(settings.clone());
    let house = House { test, dir: tempfile::tempdir().unwrap() };
    house.test.user("registrar", &[Role::Registrar], None);
    house.test.user("system", &[Role::SystemAdmin], None);
    house.register("Drilled", 12);
    let made = house.back_up(FULL);
    house.test.clock.advance(SignedDuration::from_secs(59));
    let system = house.test.log_in("system");
    assert_eq!(system.post(&format!("/v1/backups/{}/verify", made.backup), &json!({})).status, 202);
    assert_eq!(until_done(&system)["state"], "done");
    assert_eq!(system.post("/v1/backups/drills", &json!({})).status, 202);
    let job = until_done(&system);
    assert_eq!(job["outcome"], "passed", "{job}");
    let newest = house.test.app.ledger().head().durable - 1;
    block_on(house.test.app.views().wait_for(newest, std::time::Duration::from_secs(30))).unwrap();
    let listed = system.get("/v1/backups").json();
    let drill = &listed["drill"];
    assert_eq!((&drill["passed"], &drill["patients"], &drill["events"]), (&json!(true), &json!(12), &json!(made.to)));
    assert!(drill["views"].as_u64().unwrap() > 5, "state roots were compared: {drill}");
    assert_eq!(drill["lost_s"], 60, "from the last event of the backup until now: {drill}");
    assert!(listed["backups"][0]["verified_at"].is_string(), "{listed}");
    assert!(!house.test.app.data().root().join("drill").exists(), "nothing is left of it");
    for place in &settings.backup.places {
        fs::remove_dir_all(place).unwrap();
    }
}

#[test]
fn every_damaged_part_is_named_and_the_other_place_mends_a_restore() {
    let house = House::new();
    house.register("Damaged", 4);
    let full = house.back_up(FULL);
    house.register("Damaged", 4);
    let last = house.back_up(INCREMENTAL);
    let setup = house.setup();
    let [one, two] = setup.places.as_slice() else { panic!("two places") };
    let verify = |place: &Place| backup::verify(place, &setup.key, Some(last.backup), &());
    for backup_id in [full.backup, last.backup] {
        for object in house.objects("one", backup_id) {
            let (name, whole) = (object.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&object).unwrap());
            for at in (0..whole.len()).step_by(whole.len() / 23 + 1).chain([whole.len() - 1]) {
                let mut flipped = whole.clone();
                flipped[at] ^= 1 << (at % 8);
                fs::write(&object, &flipped).unwrap();
                named(verify(one), &name, backup_id);
            }
            fs::write(&object, &whole[..whole.len() - 1]).unwrap();
            named(verify(one), &name, backup_id);
            fs::remove_file(&object).unwrap();
            named(verify(one), &name, backup_id);
            assert!(verify(two).unwrap().1.is_whole());
            fs::write(&object, &whole).unwrap();
        }
    }
    assert!(verify(one).unwrap().1.is_whole());
    // Parts of one backup under the names of another's: each is sealed for its place.
    let (of_full, of_last) = (house.objects("one", full.backup), house.objects("one", last.backup));
    fs::copy(&of_full[0], &of_last[0]).unwrap();
    assert!(!verify(one).unwrap().1.is_whole());
    let back = tempfile::tempdir().unwrap();
    let restored = house.restore(back.path(), None, Reach::End).unwrap();
    assert_eq!(restored.told.to, last.to, "the second place has it whole");
    fs::copy(&of_full[0], house.objects("two", last.backup)[0].as_path()).unwrap();
    let back = tempfile::tempdir().unwrap();
    let refused = house.restore(back.path(), None, Reach::End);
    assert!(matches!(refused, Err(RestoreError::Damaged(_))), "{refused:?}");
    assert_eq!(fs::read_dir(back.path()).unwrap().count(), 0, "nothing is left that looks like a system");
}

/// Either the finding names the object, or the backup is none any more and is named itself.
#[track_caller]
fn named(verified: Result<(BackupId, backup::Verified), backup::ChainError>, object: &str, backup: BackupId) {
    match verified {
        Ok((_, verified)) => {
            let first = verified.findings.first().expect("a finding");
            assert_eq!((first.object.as_str(), first.backup), (object, backup), "{first}");
        }
        Err(error) => {
            assert!(object == "manifest" && error.to_string().contains(&backup.to_string()), "{object}: {error}")
        }
    }
}

#[test]
fn a_restore_ends_at_a_position_or_an_instant_and_never_within_an_append() {
    let house = House::new();
    house.register("Early", 3);
    house.back_up(FULL);
    house.test.clock.advance(SignedDuration::from_mins(10));
    let middle = house.test.app.now();
    house.register("Middle", 3);
    house.test.clock.advance(SignedDuration::from_mins(10));
    house.register("Late", 3);
    let last = house.back_up(INCREMENTAL);
    let live = stored(house.test.app.data().root());
    let reader = LogReader::open(&house.test.app.data().ledger()).unwrap();
    let ends: Vec<u64> = (0..)
        .zip(reader.frames(Position(0)))
        .filter(|(_, frame)| frame.as_ref().unwrap().ends_append())
        .map(|(at, _)| at + 1)
        .collect();
    for wanted in [1, 7, last.to / 2, last.to - 1, last.to] {
        let back = tempfile::tempdir().unwrap();
        let restored = house.restore(back.path(), None, Reach::Position(wanted));
        let expected = ends.iter().rev().find(|end| **end <= wanted).copied();
        match (restored, expected) {
            (Ok(restored), Some(expected)) => {
                assert_eq!(restored.told.to, expected, "{wanted}");
                assert_eq!(stored(back.path()), live[..usize::try_from(expected).unwrap()]);
                assert_eq!(restored.told.published, last.to);
            }
            (Err(RestoreError::Nothing), None) => {}
            other => panic!("{wanted}: {other:?}"),
        }
    }
    let back = tempfile::tempdir().unwrap();
    let restored = house.restore(back.path(), None, Reach::Time(middle)).unwrap();
    let times: Vec<i64> = reader
        .scan(Position(0))
        .map(|entry| entry.unwrap().recorded_at().get())
        .take(usize::try_from(last.to).unwrap())
        .collect();
    let by_then = times.partition_point(|at| *at <= middle.as_microsecond()) as u64;
    assert_eq!(restored.told.to, by_then);
    assert!(by_then < last.to && by_then > 3);
    let back = tempfile::tempdir().unwrap();
    let nothing = house.restore(back.path(), None, Reach::Time("2020-01-01T00:00:00Z".parse().unwrap()));
    assert!(matches!(nothing, Err(RestoreError::Nothing)), "{nothing:?}");
    let beyond = house.restore(back.path(), None, Reach::Position(last.to + 1_000));
    assert!(matches!(beyond, Err(RestoreError::Short { events, .. }) if events == last.to), "{beyond:?}");
}

#[test]
fn going_back_behind_what_was_published_is_refused_until_somebody_answers_for_it() {
    let house = House::new();
    house.register("Old", 2);
    let old = house.back_up(FULL);
    house.register("New", 2);
    let new = house.back_up(FULL);
    let back = tempfile::tempdir().unwrap();
    let restored = house.restore(back.path(), Some(old.backup), Reach::End).unwrap();
    assert_eq!((restored.told.to, restored.told.published), (old.to, new.to));
    let refused = open(config(house.dir.path()), back.path(), false);
    let Err(OpenError::Ledger(LedgerOpenError::RolledBack { events, published })) = refused else {
        panic!("{:?}", refused.map(|_| "opened"));
    };
    assert_eq!((events, published), (old.to, new.to));
    let app = open(config(house.dir.path()), back.path(), true).unwrap();
    let kinds: Vec<_> = app.ledger().scan(Position(old.to)).map(|one| one.unwrap().event_type().to_string()).collect();
    assert!(kinds.contains(&"ledger.rollback_accepted".to_owned()), "{kinds:?}");
    assert!(kinds.contains(&"backups.restored".to_owned()), "{kinds:?}");
    app.close();
    drop(app);
    // The marks of what was published may have outlived the disk of the ledger: they count too.
    let back = tempfile::tempdir().unwrap();
    fs::create_dir(back.path().join("published")).unwrap();
    let kept = house.test.app.data().published();
    for entry in fs::read_dir(&kept).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), back.path().join("published").join(entry.file_name())).unwrap();
    }
    house.restore(back.path(), Some(new.backup), Reach::End).unwrap();
    let refused = open(config(house.dir.path()), back.path(), false);
    assert!(
        matches!(refused, Err(OpenError::Ledger(LedgerOpenError::RolledBack { .. }))),
        "events followed the backup"
    );
    let full = tempfile::tempdir().unwrap();
    fs::write(full.path().join("something"), "").unwrap();
    assert!(matches!(house.restore(full.path(), None, Reach::End), Err(RestoreError::NotEmpty(_))));
}

#[test]
fn an_interrupted_backup_looks_like_none_and_is_gone_on_with() {
    let house = House::new();
    house.register("Interrupted", 5);
    let whole = house.back_up(FULL);
    let key = house.setup().key;
    // As it stood a moment before its manifest: the plan and the parts.
    let objects = house.objects("one", whole.backup);
    let manifest = objects.iter().find(|path| path.ends_with("manifest")).unwrap();
    let text = fs::read(manifest).unwrap();
    let mut plan = Manifest::read(&text, whole.backup, &key).unwrap();
    plan.parts.clear();
    for place in ["one", "two"] {
        let dir = house.place(place).join(format!("backups/{}", whole.backup));
        fs::remove_file(dir.join("manifest")).unwrap();
        fs::write(dir.join("plan"), plan.signed(&key).unwrap()).unwrap();
    }
    // At the second place the part had not arrived whole.
    let part = house.objects("two", whole.backup).into_iter().find(|path| !path.ends_with("plan")).unwrap();
    fs::write(&part, b"half").unwrap();
    let catalog = Catalog::read(&house.setup().places, &key);
    assert!(catalog.backups.is_empty() && catalog.unfinished.len() == 2, "{catalog:?}");
    let back = tempfile::tempdir().unwrap();
    assert!(house.restore(back.path(), None, Reach::End).is_err());
    let app = &house.test.app;
    let ran = backup::run(app, &By::system(app).unwrap(), FULL, &()).unwrap();
    assert!(ran.made.resumed && ran.made.kept == 1, "{ran:?}");
    assert_eq!((ran.made.created.backup, ran.made.created.to), (whole.backup, whole.to));
    assert_eq!(fs::read(manifest).unwrap(), text, "to the byte");
    for place in &house.setup().places {
        assert!(backup::verify(place, &key, None, &()).unwrap().1.is_whole());
    }
    // What was begun and fits no more is cleared away.
    let stale = house.place("one").join(format!("backups/{}", BackupId::from_bytes([9; 16])));
    fs::create_dir(&stale).unwrap();
    fs::write(stale.join("ledger-0"), b"left").unwrap();
    house.back_up(INCREMENTAL);
    assert!(!stale.join("ledger-0").exists());
}

#[test]
fn a_place_that_was_away_is_told_of_and_catches_up() {
    let house = House::new();
    house.register("Away", 2);
    house.back_up(FULL);
    let (place, aside) = (house.place("two"), house.place("aside"));
    fs::rename(&place, &aside).unwrap();
    house.register("Away", 2);
    let app = &house.test.app;
    let ran = backup::run(app, &By::system(app).unwrap(), INCREMENTAL, &()).unwrap();
    assert_eq!(ran.made.created.places, [house.place("one").to_str().unwrap()]);
    assert!(ran.made.failed.keys().all(|failed| failed == place.to_str().unwrap()) && !ran.wrong.is_empty(), "{ran:?}");
    let refused = key_backups::refresh(app).unwrap_err();
    assert!(refused.to_string().contains(place.to_str().unwrap()), "whoever erases waits: {refused}");
    // An alert follows.
    let alerts = (0..400).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(25));
        let tenant = app.config().organisation.id;
        let page = app.views().alerts.list(tenant, &Default::default(), None, 10).unwrap();
        page.items.iter().any(|alert| serde_json::to_value(alert.kind).unwrap() == "backup-failed").then_some(())
    });
    alerts.expect("an alert about the backup");
    fs::rename(&aside, &place).unwrap();
    let last = house.back_up(INCREMENTAL);
    let back = Place::open(place.to_str().unwrap()).unwrap();
    let (_, verified) = backup::verify(&back, &house.setup().key, Some(last.backup), &()).unwrap();
    assert!(verified.is_whole() && verified.events == last.to, "it has all three: {verified:?}");
}

#[test]
fn no_plaintext_and_no_key_is_found_in_backups() {
    let house = House::new();
    let patients = house.register("Zwiebelkuchen", 3);
    house.back_up(FULL);
    house.back_up(INCREMENTAL);
    let data = house.test.app.data();
    let root = fs::read_to_string(data.keys().join("root.key")).unwrap();
    let root_hex = root.split(' ').nth(1).unwrap().to_owned();
    let backup_hex = fs::read_to_string(house.place("backup.key")).unwrap().split(' ').nth(1).unwrap().to_owned();
    let mut needles: Vec<Vec<u8>> = ["Zwiebelkuchen", &patients[0], "patients.registered", &root_hex, &backup_hex]
        .map(|text| text.as_bytes().to_vec())
        .into();
    needles.push(hex::decode(&root_hex).unwrap());
    needles.push(hex::decode(&backup_hex).unwrap());
    needles.push(patients[0].parse::<PatientId>().unwrap().bytes().to_vec());
    let mut scanned = 0;
    for place in ["one", "two"] {
        for file in files(&house.place(place)) {
            let bytes = fs::read(&file).unwrap();
            scanned += bytes.len();
            for needle in &needles {
                let found = bytes.windows(needle.len()).any(|window| window == needle.as_slice());
                assert!(
                    !found,
                    "{} of {} bytes is in {}",
                    String::from_utf8_lossy(needle),
                    needle.len(),
                    file.display()
                );
            }
        }
    }
    assert!(scanned > 10_000, "{scanned}");
}

#[test]
fn what_is_due_is_made_and_what_need_not_be_kept_goes() {
    let house = House::new();
    let app = &house.test.app;
    let tick = || {
        let newest = app.ledger().head().durable - 1;
        block_on(app.views().wait_for(newest, std::time::Duration::from_secs(30))).unwrap();
        schedule::tick(app).unwrap()
    };
    assert!(tick().backup, "the first is due at once");
    assert!(!tick().backup);
    house.test.clock.advance(SignedDuration::from_hours(1));
    assert!(tick().backup);
    let kinds = || {
        let setup = house.setup();
        let catalog = Catalog::read(&setup.places, &setup.key);
        let mut all: Vec<_> = catalog.backups.values().map(|one| (one.manifest.made_at, one.manifest.kind)).collect();
        all.sort_by_key(|(at, _)| *at);
        all.into_iter().map(|(_, kind)| kind).collect::<Vec<_>>()
    };
    assert_eq!(kinds(), [BackupKind::Full, BackupKind::Incremental]);
    house.test.clock.advance(SignedDuration::from_hours(24 * 7));
    let due = tick();
    assert!(due.backup && due.late, "a week without is too long: {due:?}");
    assert_eq!(kinds(), [BackupKind::Full, BackupKind::Incremental, BackupKind::Full]);
    house.test.clock.advance(SignedDuration::from_hours(24 * 400));
    assert!(tick().drill, "nobody tried a restore");
    let left = kinds();
    assert_eq!(left, [BackupKind::Full, BackupKind::Full], "one of the year, and the newest");
}
