//! Everything that the application logs in this test run.

use std::io::Write;
use std::sync::{LazyLock, Mutex, Once};

static LINES: LazyLock<Mutex<Vec<u8>>> = LazyLock::new(Mutex::default);

struct Capture;

impl Write for Capture {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LINES.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Captures from now on, of our crates everything, down to the finest level.
pub fn capture() {
    static BEGUN: Once = Once::new();
    BEGUN.call_once(|| {
        let filter = "info,wardbook=trace,wardbook_ledger=trace,wardbook_keys=trace,wardbook_commands=trace,wardbook_projections=trace";
        tracing_subscriber::fmt().json().with_writer(|| Capture).with_env_filter(filter).init();
    });
}

pub fn captured_logs() -> String {
    String::from_utf8_lossy(&LINES.lock().unwrap()).into_owned()
}
