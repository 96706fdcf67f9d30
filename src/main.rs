//! The `wardbook` program.

mod cli;

use std::io::Write as _;
use std::panic::PanicHookInfo;
use std::process::ExitCode;

/// A good tenth of the CPU of rebuilding views went into the system's allocator. What is freed is wiped: requests, answers and
/// opened values go through many hands, and nothing of a patient may stay in memory that is nobody's any more.
#[global_allocator]
static ALLOCATOR: zeroizing_alloc::ZeroAlloc<mimalloc::MiMalloc> = zeroizing_alloc::ZeroAlloc(mimalloc::MiMalloc);

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(tell));
    cli::run()
}

/// A panic is told in one line that says where, never with what: its message may quote something that is sealed.
fn tell(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let mut stderr = std::io::stderr().lock();
    let _ = writeln!(
        stderr,
        "wardbook: a part of the program gave up at {place}: check the disk; if it is well, report this"
    );
}
