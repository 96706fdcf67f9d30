//! The built program, run as a user runs it: commands that end, and servers that serve until they are dropped or killed.

mod server;

pub use server::{Caller, Reply, Server};

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// The password of every user of these tests.
pub const PASSWORD: &str = "Kettle-93-violet-Harbour";

/// A role for each part that the tests play, and the user who plays it.
pub const CAST: [(&str, &str); 6] = [
    ("admin", "admin"),
    ("system", "system-admin"),
    ("registrar", "registrar"),
    ("physician", "physician"),
    ("nurse", "nurse"),
    ("auditor", "auditor"),
];

/// A data directory with settings that make tests quick; nothing that is tested depends on them.
pub struct Place {
    dir: TempDir,
}

/// How a command ended.
pub struct Ended {
    /// The exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    pub fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let ended = Self { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) };
        ended.no_panic();
        ended
    }

    /// Whatever happened, it was told in sentences.
    pub fn no_panic(&self) {
        no_panic(&self.stderr);
    }

    /// Ended with this code.
    #[track_caller]
    pub fn with_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// Done.
    #[track_caller]
    pub fn ok(self) -> Self {
        self.with_code(0)
    }

    /// Standard output as one JSON document.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("not one JSON document: {error}: {}", self.stdout))
    }

    /// Standard output as JSON, a document a line.
    #[track_caller]
    pub fn json_lines(&self) -> Vec<Value> {
        let line = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("not JSON: {error}: {line}"));
        self.stdout.lines().map(line).collect()
    }
}

impl Place {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let settings = "[organisation]\nworking_hours = \"\"\n[server]\nworkers = 2\n[tokens]\nlifetime_s = 3600\n[ledger]\ncheckpoint_interval_ms = 50\n\
                        [passwords]
memory_kib = 64
passes = 1
[login]
second_factor = \"nobody\"
[sessions]
max = 100
\
                        [rates]
user_per_minute = 0
session_per_minute = 0
auth_per_minute = 0
read_per_minute = 0
\
                        write_per_minute = 0
public_per_minute = 0
patients_per_hour = 0
";
        fs::write(dir.path().join("settings.toml"), settings).unwrap();
        Self { dir }
    }

    /// With a user for each of [`CAST`].
    pub fn with_cast() -> Self {
        let place = Self::new();
        for (name, role) in CAST {
            place.user(name, role, &[]);
        }
        place
    }

    /// A file or directory beside the data.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// The program with data and settings of this place, deaf to what is set outside.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for name in
            ["WARDBOOK_SERVER", "WARDBOOK_LISTEN", "WARDBOOK_PASSWORD", "WARDBOOK_LOG", "RUST_LOG", "RUST_BACKTRACE"]
        {
            command.env_remove(name);
        }
        command.env("WARDBOOK_DATA", self.data()).env("WARDBOOK_CONFIG", self.path("settings.toml"));
        command.current_dir(self.dir.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn wardbook(&self) -> Command {
        self.command(env!("CARGO_BIN_EXE_wardbook"))
    }

    /// Runs to the end.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        Ended::of(&self.wardbook().args(arguments).output().unwrap())
    }

    /// Runs to the end with the password on standard input.
    pub fn run_with_password(&self, arguments: &[&str]) -> Ended {
        let mut command = self.wardbook();
        command.args(arguments).arg("--password-stdin");
        with_input(command, PASSWORD)
    }

    /// Makes a user and gives its id.
    pub fn user(&self, name: &str, role: &str, more: &[&str]) -> String {
        let arguments = [&["user", "create", "--username", name, "--role", role], more].concat();
        self.run_with_password(&arguments).ok().stdout.trim().to_owned()
    }

    /// Every event of the ledger, as `wardbook replay` lists them; `filters` choose.
    pub fn trail(&self, filters: &[&str]) -> Vec<Value> {
        let ended = self.run(&[&["replay", "--format", "jsonl"], filters].concat());
        assert!(matches!(ended.code, Some(0 | 1)), "{}", ended.stderr);
        ended.json_lines()
    }

    /// The log verifies.
    #[track_caller]
    pub fn verified(&self) {
        self.run(&["verify", "--quiet"]).ok();
    }

    pub fn serve(&self) -> Server {
        Server::start(self.wardbook().args(["serve", "--listen", "127.0.0.1:0"]))
    }
}

/// What the program said holds no panic; but sled's own on a failing disk, which we catch, may be told in a line.
#[track_caller]
pub fn no_panic(said: &str) {
    let ours = |line: &str| line.contains("gave up at") && !line.contains("/sled-");
    let trace =
        said.lines().find(|line| line.contains("panicked at") || line.contains("stack backtrace") || ours(line));
    assert!(trace.is_none(), "a panic: {said}");
}

/// Runs a command with text on its standard input.
pub fn with_input(command: Command, input: &str) -> Ended {
    Ended::of(&raw_with_input(command, input))
}

/// As [`with_input`], for programs of others.
pub fn raw_with_input(mut command: Command, input: &str) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A program that stops before it reads closes the pipe: that is its right.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// The committed sample of twenty patients.
pub fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/fhir")
}

/// Copies a directory, as a backup does.
pub fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target)
        } else {
            fs::copy(entry.path(), target).map(drop).unwrap()
        }
    }
}

/// Puts a backup in a directory's place.
pub fn restore_dir(backup: &Path, to: &Path) {
    if to.exists() {
        fs::remove_dir_all(to).unwrap();
    }
    copy_dir(backup, to);
}
