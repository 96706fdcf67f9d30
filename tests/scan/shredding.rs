//! After an erasure nothing of the person is left in clear, on disk or in the server's memory, and no byte of his key.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::{Value, json};

use super::files_below;
use crate::helpers::{Client, begin, upload};
use crate::program::{Caller, Place, Reply, Server};

/// Much longer than idle connections stay open in this test.
const CLOSED_WITHIN: Duration = Duration::from_secs(60);

/// A person of whom every value is a word that stands nowhere else.
const MARKS: [&str; 9] = [
    "Quillfeather",
    "Thessalonika",
    "5550147926",
    "quill.feather@zephyr-mail.example",
    "Obsidian-Kettle-Lane",
    "Umbrellabird-Insurance",
    "Marmalade-allergy-of-the-left-ear",
    "518-27-6394",
    "Discharged-with-periwinkle-bandages",
];

fn marked() -> Value {
    let [family, given, phone, email, street, payer, _, ssn, _] = MARKS;
    json!({
        "name": {"family": family, "given": [given]},
        "birth_date": "1931-07-19",
        "phones": [format!("+1{phone}")],
        "emails": [email],
        "addresses": [{"lines": [street], "city": "Harbour"}],
        "insurance": [{"payer": payer, "member_id": "UB-1"}],
        "ssn": ssn,
    })
}

/// As written, in small and capital letters, as digits, and what does not depend on its neighbours in base64 and hex.
fn forms() -> BTreeSet<Vec<u8>> {
    let mut forms = BTreeSet::new();
    for mark in MARKS {
        let digits: String = mark.chars().filter(char::is_ascii_digit).collect();
        let mut texts = vec![mark.to_owned(), mark.to_lowercase(), mark.to_uppercase()];
        texts.extend(Some(digits).filter(|digits| digits.len() >= 9));
        for text in texts {
            forms.extend([hex::encode(&text).into_bytes(), text.clone().into_bytes()]);
            for before in 0..3 {
                let padded = [&vec![0; before], text.as_bytes()].concat();
                let whole = (before * 8).div_ceil(6)..padded.len() * 8 / 6;
                forms
                    .extend([&STANDARD, &URL_SAFE].map(|code| code.encode(&padded).as_bytes()[whole.clone()].to_vec()));
            }
        }
    }
    forms
}

/// Which of these stand in a file. `grep` reads a core image in a second, a loop of ours in minutes.
fn found_in(file: &Path, wanted: &BTreeSet<Vec<u8>>) -> BTreeSet<String> {
    let list = tempfile::NamedTempFile::new().unwrap();
    fs::write(list.path(), wanted.iter().cloned().collect::<Vec<_>>().join(&b'\n')).unwrap();
    let output =
        Command::new("grep").env("LC_ALL", "C").args(["-aobF", "-f"]).arg(list.path()).arg(file).output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

/// Whether these bytes stand in a file.
fn holds(file: &Path, piece: &[u8]) -> bool {
    let pattern: String = piece.iter().map(|byte| format!("\\x{byte:02x}")).collect();
    let status = Command::new("grep").env("LC_ALL", "C").args(["-aqP", &pattern]).arg(file).status().unwrap();
    assert!(matches!(status.code(), Some(0 | 1)));
    status.success()
}

/// Bytes of the wrapped key that follow the patient's id in the key store: parts of a long random value.
fn wrapped_keys(store: &Path, patient: &str) -> Vec<Vec<u8>> {
    let bytes = fs::read(store).unwrap();
    let id = uuid::Uuid::parse_str(patient).unwrap();
    let starts = bytes.windows(16).enumerate().filter(|(_, window)| window == id.as_bytes()).map(|(at, _)| at);
    let pieces = starts.filter_map(|at| bytes.get(at + 64..at + 224)).flat_map(|near| near.chunks_exact(16));
    // The index has the id as well, and no key behind it. A line's end would end what `grep` looks for.
    let random = |piece: &&[u8]| piece.iter().collect::<BTreeSet<_>>().len() > 12 && !piece.contains(&b'\n');
    pieces.filter(random).map(<[u8]>::to_vec).collect()
}

/// The image of the whole process as it is now.
fn core_image(place: &Place, server: &Server, name: &str) -> std::path::PathBuf {
    let base = place.path(name);
    let output = Command::new("gcore").arg("-o").arg(&base).arg(server.pid().to_string()).output();
    let output = output.expect("gcore of the Debian package gdb is needed: scripts/test installs it");
    let image = place.path(&format!("{name}.{}", server.pid()));
    assert!(image.exists(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    image
}

/// Where the image holds the registers of threads (ELF-64: the segment of type PT_NOTE). A thread that waits has the last 64 bytes
/// there that it copied, until it copies something else; no program can wipe them without the processor's own language.
fn registers(image: &Path) -> std::ops::Range<u64> {
    const NOTE: u64 = 4;
    let mut file = fs::File::open(image).unwrap();
    let mut number = |at: u64, bytes: usize| {
        let mut buffer = [0; 8];
        file.seek(SeekFrom::Start(at)).unwrap();
        file.read_exact(&mut buffer[..bytes]).unwrap();
        u64::from_le_bytes(buffer)
    };
    let (table, count) = (number(32, 8), number(56, 2));
    let notes = (0..count).map(|entry| table + 56 * entry).find(|entry| number(*entry, 4) == NOTE).unwrap();
    let begin = number(notes + 8, 8);
    begin..begin + number(notes + 32, 8)
}

/// Connections to the server that are open on its side.
fn connections(server: &Server) -> usize {
    const ESTABLISHED: &str = "01";
    let port: u16 = server.base().rsplit(':').next().unwrap().parse().unwrap();
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let fields = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    fields.filter(|fields| fields[1].ends_with(&format!(":{port:04X}")) && fields[3] == ESTABLISHED).count()
}

/// Sees what an answer tells of.
fn after(caller: &Caller, answer: &Reply) -> Caller {
    caller.with("If-Ledger-Position", answer.header("wardbook-position"))
}

#[test]
fn disk_and_memory_forget_the_person_and_the_key() {
    let place = Place::with_cast();
    let settings = fs::read_to_string(place.path("settings.toml")).unwrap();
    let places = ["one", "two"].map(|name| place.path(name));
    places.iter().for_each(|dir| fs::create_dir(dir).unwrap());
    let backups = format!("[backup]\nplaces = {places:?}\nkey_file = {:?}\n", place.path("backup.key"));
    let settings = settings.replace("[server]\n", "[server]\nkeep_alive_s = 2\n") + &backups;
    fs::write(place.path("settings.toml"), settings).unwrap();
    place.run(&["backup", "keys", "init"]).ok();
    place.user("officer", "compliance-officer", &[]);
    place.user("security", "security-admin", &[]);
    let server = place.serve();
    let names = ["registrar", "physician", "officer", "security"];
    let [registrar, physician, officer, security] = names.map(|name| server.log_in(name));
    let doctor = physician.get("/v1/auth/session").is(200).json()["user"].as_str().unwrap().to_owned();
    let register = |body: &Value| {
        let answer = registrar.post("/v1/patients", body).is(201);
        let patient = answer.json()["patient"].as_str().unwrap().to_owned();
        let team = format!("/v1/patients/{patient}/care-team/{doctor}");
        let assigned = after(&registrar, &answer).put(&team, &json!({"function": "attending"})).is(204);
        (patient, assigned)
    };
    let (patient, _) = register(&marked());
    let (other, assigned) = register(&json!({"name": {"family": "Stayer", "given": ["Somebody"]}}));
    let physician = after(&physician, &assigned);
    let (path, note) = (format!("/v1/patients/{patient}"), json!({"code": {"text": MARKS[6]}, "date": "2001-01-01"}));
    let write = || physician.post(&format!("{path}/records"), &json!({"type": "note", "body": note})).is(201);
    let written = [(); 5].map(|()| write()).into_iter().next_back().unwrap();
    // Read and searched for on many connections, so that keys, views and buffers of every kind have had it.
    for round in 0..20 {
        let caller = after(&if round % 2 == 0 { physician.clone() } else { server.log_in("physician") }, &written);
        assert!(caller.get(&path).is(200).text.contains(MARKS[0]));
        assert!(caller.get(&format!("{path}/records")).is(200).text.contains(MARKS[6]));
        let found = registrar.post("/v1/patients/search", &json!({"name": MARKS[0], "ssn": MARKS[7]})).is(200);
        assert!(found.text.contains(MARKS[1]));
        caller.post("/v1/patients", &marked());
    }
    // A letter of several chunks, downloaded, and another that was only begun to be sent.
    let letter: Vec<u8> = (0..9_000).flat_map(|line| format!("{line}: {}\n", MARKS[8]).into_bytes()).collect();
    let client = Client::new(server.base()).with_token(&server.token("physician"));
    let client = client.with("If-Ledger-Position", written.header("wardbook-position"));
    let (owner, about) = (patient.parse().unwrap(), json!({"title": MARKS[8], "year": 2001}));
    let document = upload(&client, owner, "text/plain", &letter, &about).finish();
    let content = format!("/v1/documents/{document}/content");
    assert!((0..3).all(|_| client.get(&content).body == letter));
    assert_eq!(client.with("Range", "bytes=100000-200000").get(&content).status, 206);
    assert_eq!(begin(&client, owner, "text/plain", 2 * letter.len(), &about).piece(0, &letter).status, 204);
    place.run_with_password(&["backup", "create", "--server", server.base(), "--as", "system"]).ok();
    let objects = || {
        places
            .iter()
            .map(|dir| dir.join("documents"))
            .filter(|dir| dir.exists())
            .flat_map(|dir| files_below(&dir))
            .count()
    };
    assert_eq!(objects(), 2, "the letter is at both places");
    let store = place.data().join("keys/keys.sqlite");
    let keys = wrapped_keys(&store, &patient);
    assert!(!keys.is_empty() && keys.iter().all(|piece| holds(&store, piece)), "the key is where it is looked for");

    let asked = officer.post(&format!("{path}/erasure"), &json!({"basis": "gdpr"})).is(201);
    let approve = format!("/v1/erasures/{}/approve", asked.json()["erasure"].as_str().unwrap());
    let done = after(&security, &asked).post(&approve, &json!({})).is(200).json();
    assert_eq!(done["status"], "certified", "{done}");
    physician.get(&path).is(410);
    assert_ne!(client.get(&content).status, 200);
    assert!(files_below(&place.data().join("documents")).is_empty(), "its object is gone");

    // Connections from before are closed with their next answer, or when they were idle too long; then nothing is left.
    let began = Instant::now();
    while connections(&server) > 0 {
        assert!(began.elapsed() < CLOSED_WITHIN, "idle connections stay open");
        std::thread::sleep(Duration::from_millis(100));
    }
    let image = core_image(&place, &server, "after");
    let control = found_in(&image, &[b"wardbook.example/ledger".to_vec()].into());
    assert!(!control.is_empty(), "what is in memory is found there");
    let registers = registers(&image);
    let in_registers = |hit: &String| registers.contains(&hit.split(':').next().unwrap().parse().unwrap());
    let left: Vec<_> = found_in(&image, &forms()).into_iter().filter(|hit| !in_registers(hit)).collect();
    assert!(left.is_empty(), "in memory: {left:?}");
    assert!(keys.iter().all(|piece| !holds(&image, piece)), "the wrapped key is in memory");
    fs::remove_file(&image).unwrap();

    // Somebody else still opens.
    assert_eq!(physician.get(&format!("/v1/patients/{other}")).is(200).json()["name"]["family"], "Stayer");
    server.stop();
    assert_eq!(objects(), 0, "the letter is at no place");
    for file in files_below(&place.data()).into_iter().chain(places.iter().flat_map(|dir| files_below(dir))) {
        let left = found_in(&file, &forms());
        assert!(left.is_empty(), "{}: {left:?}", file.display());
        assert!(keys.iter().all(|piece| !holds(&file, piece)), "the wrapped key is in {}", file.display());
    }
    place.verified();
}

#[test]
fn the_search_finds_every_form() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("image");
    for mark in MARKS {
        for text in [mark.to_owned(), mark.to_uppercase(), hex::encode(mark), STANDARD.encode(format!("ab{mark}cd"))] {
            fs::write(&file, [b"\0\x01", text.as_bytes(), b"\xff\n"].concat()).unwrap();
            assert!(!found_in(&file, &forms()).is_empty(), "{mark} as {text}");
        }
    }
    fs::write(&file, b"nobody").unwrap();
    assert!(found_in(&file, &forms()).is_empty());
}
