//! `wardbook backup`, as the person uses it whose disk is gone.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::scene::{NEW, Scene};
use crate::helpers::{Client, upload};
use crate::program::{Place, with_input};

/// Adds places and a key to the settings.
fn with_backups(place: &Place, places: &[&str]) {
    let names: Vec<String> = places
        .iter()
        .map(|name| match name.contains("://") {
            true => (*name).to_owned(),
            false => {
                fs::create_dir_all(place.path(name)).unwrap();
                place.path(name).to_str().unwrap().to_owned()
            }
        })
        .collect();
    let key = place.path("backup.key");
    let mut settings = fs::read_to_string(place.path("settings.toml")).unwrap();
    settings.push_str(&format!("[backup]\nplaces = {names:?}\nkey_file = {key:?}\ninclude_root_file = true\n"));
    fs::write(place.path("settings.toml"), settings).unwrap();
}

fn init(place: &Place) -> String {
    place.run(&["backup", "keys", "init"]).ok().stdout.trim().to_owned()
}

fn create(place: &Place) -> Value {
    place.run(&["backup", "create", "--json", "--quiet"]).ok().json()
}

#[test]
fn the_disk_is_gone_and_everything_comes_back() {
    let scene = Scene::new();
    let place = &scene.place;
    with_backups(place, &["one", "two"]);
    let id = init(place);
    assert!(place.run(&["backup", "keys", "init"]).with_code(2).stderr.contains("backup.key"), "never overwritten");
    let shares = place.run(&["backup", "keys", "split", "--shares", "5", "--threshold", "3"]).ok().stdout;
    let shares: Vec<_> = shares.lines().map(str::to_owned).collect();
    assert_eq!(shares.len(), 5);
    let made = create(place);
    assert_eq!(made["kind"], "full");
    let made = create(place);
    assert_eq!(made["kind"], "incremental");
    let listed = place.run(&["backup", "list"]).ok().stdout;
    assert!(listed.contains("full") && listed.contains("incremental") && listed.contains("one"), "{listed}");
    let verified = place.run(&["backup", "verify", "--json", "--quiet"]).ok().json_lines();
    assert!(verified.len() == 2 && verified.iter().all(|one| one["verified"] == true), "{verified:?}");
    let drill = place.run(&["backup", "drill", "--json", "--quiet"]).ok().json();
    assert!(drill["passed"] == true && drill["patients"] == 1, "{drill}");
    // Fire.
    fs::remove_dir_all(place.data()).unwrap();
    fs::remove_file(place.path("backup.key")).unwrap();
    let few = with_input(command(place, &["backup", "keys", "recover"]), &shares[..2].join("\n")).with_code(2);
    assert!(few.stderr.contains("2 different shares were given and 3 are needed"), "{}", few.stderr);
    let mistyped = format!("{}\n{}\n{}X", shares[0], shares[2], shares[4]);
    let mistyped = with_input(command(place, &["backup", "keys", "recover"]), &mistyped).with_code(2);
    assert!(mistyped.stderr.contains("line 3"), "{}", mistyped.stderr);
    let given = [4, 0, 2].map(|at| shares[at].to_lowercase()).join("\n");
    let recovered = with_input(command(place, &["backup", "keys", "recover"]), &given).ok();
    assert_eq!(recovered.stdout.trim(), id);
    let restored = place.run(&["backup", "restore", "--json", "--quiet"]).ok().json();
    assert_eq!((&restored["events"], &restored["keys_missing"]), (&made["to"], &json!([])), "{restored}");
    assert!(place.run(&["backup", "restore"]).with_code(2).stderr.contains("not empty"));
    let server = place.serve();
    let chart = server.log_in("physician").get(&format!("/v1/patients/{}", scene.patient)).is(200).json();
    assert_eq!(chart["name"]["family"], NEW);
    server.stop();
    place.verified();
    let told: Vec<_> = place.trail(&[]).into_iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect();
    for kind in [
        "backups.created",
        "backups.key-backup-refreshed",
        "backups.keys-shared",
        "backups.keys-recovered",
        "backups.restored",
    ] {
        assert!(told.iter().any(|one| one == kind), "{kind} is not told: {told:?}");
    }
}

fn command(place: &Place, arguments: &[&str]) -> std::process::Command {
    let mut command = place.wardbook();
    command.args(arguments);
    command
}

#[test]
fn whenever_it_is_killed_there_is_a_whole_backup_or_none() {
    let (scene, server) = Scene::served();
    let place = &scene.place;
    let client = Client::new(server.base()).with_token(&server.token("physician"));
    // Enough that copying them is interrupted as well.
    for size in [3 << 20, 2 << 20, 10] {
        upload(&client, scene.patient.parse().unwrap(), "text/plain", &vec![b'x'; size], &json!({})).finish();
    }
    server.stop();
    with_backups(place, &["one", "two"]);
    init(place);
    let (mut wait_ms, mut killed) = (10, 0);
    loop {
        let mut child = command(place, &["backup", "create", "--full", "--quiet"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(wait_ms));
        let ended = child.try_wait().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        for backup in place.run(&["backup", "list", "--json", "--quiet"]).ok().json_lines() {
            assert_eq!(backup["unusable"], Value::Null, "{backup}");
            let id = backup["backup"].as_str().unwrap();
            let at = backup["places"][0].as_str().unwrap();
            place.run(&["backup", "verify", id, "--place", at, "--quiet"]).ok();
        }
        if ended.is_some() {
            break;
        }
        (wait_ms, killed) = (wait_ms * 3 / 2, killed + 1);
    }
    assert!(killed > 3, "{killed} kills");
    create(place);
    let verified = place.run(&["backup", "verify", "--json", "--quiet"]).ok().json_lines();
    assert!(verified.iter().all(|one| one["documents"] == 3), "{verified:?}");
    place.verified();
}

#[test]
fn a_running_server_makes_the_backup_and_tries_it_out() {
    let (scene, server) = Scene::served();
    let place = &scene.place;
    server.stop();
    with_backups(place, &["one", "two"]);
    init(place);
    let server = place.serve();
    let at = server.base().to_owned();
    let beside = place.run(&["backup", "create"]).with_code(2);
    assert!(beside.stderr.contains("--server"), "{}", beside.stderr);
    let through = ["--server", at.as_str(), "--as", "system"];
    place.run_with_password(&[&["backup", "create"], &through[..]].concat()).ok();
    let drill = place.run_with_password(&[&["backup", "drill"], &through[..]].concat()).ok();
    assert!(drill.stdout.contains("passed"), "{}", drill.stdout);
    place.run(&["backup", "verify", "--quiet"]).ok();
    server.stop();
}

#[test]
fn a_policy_that_would_lose_what_must_be_kept_does_not_start() {
    for (places, more, said) in [
        (&["one"][..], "", "second place"),
        (&["one", "two"], "keep_yearly_d = 2189\n", "2190"),
        (&["one", "./one/../one"], "", "one and the same"),
        (&["one", "two"], "", "backup.key"),
    ] {
        let place = Place::new();
        with_backups(&place, places);
        let settings = fs::read_to_string(place.path("settings.toml")).unwrap() + more;
        fs::write(place.path("settings.toml"), settings).unwrap();
        if said == "one and the same" {
            place.run(&["backup", "keys", "init", "--key-file", "backup.key"]).ok();
        }
        let ended = place.run(&["serve", "--listen", "127.0.0.1:0"]).with_code(2);
        assert!(ended.stderr.contains(said), "{said}: {}", ended.stderr);
    }
}

#[cfg(feature = "s3")]
mod s3 {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;
    use std::process::Child;

    use super::*;
    use crate::helpers::{free_port, tool, wait_for_port};
    use crate::program::Ended;

    /// moto, which plays S3.
    struct Moto {
        server: Child,
        port: u16,
    }

    impl Moto {
        fn start() -> Self {
            let port = free_port();
            let server = std::process::Command::new(tool("moto_server"))
                .args(["-H", "127.0.0.1", "-p", &port.to_string()])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            wait_for_port(port);
            let moto = Self { server, port };
            let mut call = TcpStream::connect(("127.0.0.1", port)).unwrap();
            write!(
                call,
                "PUT /wardbook HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
            .unwrap();
            let mut answer = String::new();
            call.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            moto
        }

        fn run(&self, place: &Place, arguments: &[&str]) -> Ended {
            let mut command = command(place, arguments);
            command
                .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", self.port))
                .env("AWS_ACCESS_KEY_ID", "test")
                .env("AWS_SECRET_ACCESS_KEY", "test")
                .env("AWS_REGION", "us-east-1");
            with_input(command, "")
        }
    }

    impl Drop for Moto {
        fn drop(&mut self) {
            self.server.kill().unwrap();
            self.server.wait().unwrap();
        }
    }

    #[test]
    fn a_bucket_is_a_place_like_a_directory() {
        let scene = Scene::new();
        let (place, moto) = (&scene.place, Moto::start());
        with_backups(place, &["one", "s3://wardbook/ward"]);
        init(place);
        for kind in ["full", "incremental"] {
            let made = moto.run(place, &["backup", "create", "--json", "--quiet"]).ok().json();
            assert_eq!((made["kind"].as_str(), made["places"][1].as_str()), (Some(kind), Some("s3://wardbook/ward")));
        }
        let verified = moto.run(place, &["backup", "verify", "--json", "--quiet"]).ok().json_lines();
        assert!(verified.len() == 2 && verified.iter().all(|one| one["verified"] == true), "{verified:?}");
        // The bucket alone is enough.
        let elsewhere = place.path("elsewhere");
        let back = [
            "--data",
            elsewhere.to_str().unwrap(),
            "--quiet",
            "--json",
            "backup",
            "restore",
            "--place",
            "s3://wardbook/ward",
        ];
        let restored = moto.run(place, &back).ok().json();
        assert_eq!((&restored["keys_found"], &restored["keys_missing"]), (&Value::Bool(true), &json!([])));
        let users = ["--data", elsewhere.to_str().unwrap(), "user", "list"];
        assert!(moto.run(place, &users).ok().stdout.contains("physician"));
        // Away, it is named, and the other place has the backup.
        drop(moto);
        let away = Moto { server: std::process::Command::new("true").spawn().unwrap(), port: free_port() };
        let told = away.run(place, &["backup", "create", "--json", "--quiet"]).with_code(1).json();
        assert!(told["failed"]["s3://wardbook/ward"].is_string(), "{told}");
        assert_eq!(told["places"].as_array().unwrap().len(), 1);
    }
}
