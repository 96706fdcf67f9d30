//! What stands in the memory of the process stays there (ENC-15): no image of it is written when it dies, and no other process of
//! the same user may look into it. The superuser still may; see `docs/THREAT_MODEL.md`.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// The system did not let us.
#[derive(Debug, thiserror::Error)]
#[error(
    "the process cannot be kept from leaving images of its memory ({0}): set server.harden = false to run all the same"
)]
pub struct HardenError(rustix::io::Errno);

/// Forbids images of this process and its children's: they would hold keys and opened values.
///
/// # Errors
/// If the system refuses, which Linux does not.
pub fn harden() -> Result<(), HardenError> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).map_err(HardenError)?;
    // Neither ptrace nor /proc/<pid>/mem for whoever is not the superuser; and no image even where a pipe takes them.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(HardenError)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{dumpable_behavior, getrlimit};

    #[test]
    fn no_image_is_left_behind() {
        harden().unwrap();
        let core = getrlimit(Resource::Core);
        assert_eq!((core.current, core.maximum), (Some(0), Some(0)));
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        harden().unwrap();
    }
}
