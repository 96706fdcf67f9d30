//! Power is cut at any moment: what was acknowledged is there, the log verifies, and work goes on where it stopped.

mod containment;
mod house;
mod kills;
mod syscalls;
