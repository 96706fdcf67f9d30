//! The five-minute tour of the README, as whoever reads it would type it: every block runs and shows what it says.

use std::fs;
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Only a tour that hangs takes so long, also where the demo has to be built first.
const TOUR_MAX: Duration = Duration::from_secs(500);
const MARK: &str = "@@ block ";

/// Commands, and the lines that they show.
#[derive(Debug, Default)]
struct Block {
    commands: String,
    shows: Vec<String>,
}

/// The blocks of a section; what is shown belongs to the commands above it.
fn blocks(text: &str, section: &str) -> Vec<Block> {
    let heading = format!("## {section}");
    let lines = text.lines().skip_while(|line| *line != heading).skip(1).take_while(|line| !line.starts_with("## "));
    let (mut blocks, mut within) = (Vec::<Block>::new(), None);
    for line in lines {
        match (line.strip_prefix("```"), within) {
            (Some(kind), None) => {
                within = Some(kind);
                if kind == "sh" {
                    blocks.push(Block::default());
                }
            }
            (Some(_), Some(_)) => within = None,
            (None, Some("sh")) => {
                let block = blocks.last_mut().unwrap();
                block.commands.push_str(line);
                block.commands.push('\n');
            }
            (None, Some("text")) => {
                blocks.last_mut().expect("what is shown stands below its commands").shows.push(line.to_owned())
            }
            _ => {}
        }
    }
    blocks
}

/// Whether a line is as a pattern says, in which `...` stands for anything.
fn matches(line: &str, pattern: &str) -> bool {
    let mut parts = pattern.trim().split("...");
    let Some(mut rest) = line.trim().strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<_> = parts.collect();
    let Some((last, between)) = parts.split_last() else { return rest.is_empty() };
    for part in between {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// The first line of the patterns that does not occur after the ones before it.
fn missing<'a>(output: &str, shows: &'a [String]) -> Option<&'a str> {
    let mut lines = output.lines();
    shows.iter().find(|pattern| !lines.any(|line| matches(line, pattern))).map(String::as_str)
}

/// A shell and everything it started, ended when dropped.
struct Shell(Child);

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", "--", &format!("-{}", self.0.id())]).stderr(Stdio::null()).status();
        let _ = self.0.wait();
    }
}

#[test]
fn the_tour_shows_what_it_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let blocks = blocks(&fs::read_to_string(root.join("README.md")).unwrap(), "Five-minute tour");
    assert!(blocks.len() >= 5 && blocks.iter().filter(|block| !block.shows.is_empty()).count() >= 4, "{blocks:?}");
    let dir = tempfile::tempdir().unwrap();
    let script: String =
        blocks.iter().enumerate().map(|(number, block)| format!("echo '{MARK}{number}'\n{}", block.commands)).collect();
    fs::write(dir.path().join("tour.sh"), script).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_wardbook"));
    let (built, target) = (program.parent().unwrap(), program.parent().and_then(Path::parent).unwrap());
    let path = format!("{}:{}", built.display(), std::env::var("PATH").unwrap());
    let output = fs::File::create(dir.path().join("output")).unwrap();
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail"]).arg(dir.path().join("tour.sh")).current_dir(root).process_group(0);
    command.env("PATH", path).env("CARGO_TARGET_DIR", target).env("WARDBOOK_BIN", program).env("TMPDIR", dir.path());
    command.env_remove("WARDBOOK_CONFIG").env_remove("WARDBOOK_LOG");
    command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
    let mut shell = Shell(command.spawn().unwrap());
    let began = Instant::now();
    let status = loop {
        if let Some(status) = shell.0.try_wait().unwrap() {
            break status;
        }
        assert!(began.elapsed() < TOUR_MAX, "the tour hangs: {}", said(dir.path()));
        std::thread::sleep(Duration::from_millis(50));
    };
    let output = said(dir.path());
    assert!(status.success(), "the tour ended with {status}: {output}");
    for (number, block) in blocks.iter().enumerate() {
        let (_, after) = output.split_once(&format!("{MARK}{number}\n")).expect("every block began");
        let own = after.split(MARK).next().unwrap();
        let missing = missing(own, &block.shows);
        assert!(missing.is_none(), "the README shows `{}`, but\n{}gave\n{own}", missing.unwrap(), block.commands);
    }
}

fn said(dir: &Path) -> String {
    let mut text = Vec::new();
    fs::File::open(dir.join("output")).unwrap().read_to_end(&mut text).unwrap();
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn a_line_that_is_not_shown_is_missed() {
    assert!(
        matches("  12 access.denied,denied", "... access.denied,denied")
            && matches("a b c", "a ... c")
            && matches("abc", "abc")
    );
    assert!(!matches("abcd", "abc") && !matches("xabc", "abc") && !matches("a b d", "a ... c") && !matches("", "a"));
    let shows = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    assert_eq!(missing("one\ntwo\nthree\n", &shows(&["one", "three"])), None);
    assert_eq!(missing("one\ntwo\nthree\n", &shows(&["three", "one"])), Some("one"), "the order counts");
    let text = "## Other\n```sh\nno\n```\n## Tour\n```sh\na\nb\n```\n```text\nc\n```\n```\nnot run\n```\n## Next\n```sh\nno\n```\n";
    let found = blocks(text, "Tour");
    assert_eq!((found.len(), found[0].commands.as_str(), found[0].shows.as_slice()), (1, "a\nb\n", &shows(&["c"])[..]));
}
