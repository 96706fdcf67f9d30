//! What happened while no ledger was at hand (a restore, shares of the key): left in the data directory, and told by whoever
//! opens the ledger next.

use std::fs;
use std::io;
use std::path::Path;

use wardbook_events::backups::BackupEvent;
use wardbook_events::{Event, EventId};

use crate::app::App;
use crate::by::By;
use crate::disclosure::Refusal;

/// Below the data directory.
pub(super) const FOLDER: &str = "untold";

/// Leaves a note.
///
/// # Errors
/// If it could not be written.
pub fn leave(root: &Path, fact: &BackupEvent) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let dir = root.join(FOLDER);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
    let text = fact.note().map_err(io::Error::other)?;
    let name = hex::encode(blake3::hash(text.as_bytes()).as_bytes().first_chunk::<8>().unwrap_or(&[0; 8]));
    let path = dir.join(format!("{name}.v{}.{}", fact.version(), fact.type_name()));
    fs::write(&path, text)?;
    fs::File::open(&path)?.sync_all()?;
    fs::File::open(&dir)?.sync_all()
}

/// Version and type of a note, by its file's name: `DIGEST.vVERSION.TYPE`, or of the first version, `DIGEST.TYPE`.
fn kind_of(name: &str) -> Option<(u16, &str)> {
    let (_, kind) = name.split_once('.')?;
    let versioned = kind.strip_prefix('v').and_then(|rest| rest.split_once('.'));
    let versioned = versioned.and_then(|(version, kind)| Some((version.parse().ok()?, kind)));
    Some(versioned.unwrap_or((1, kind)))
}

/// Tells what was left, in the order of names. Each is told once, however often this is tried.
///
/// # Errors
/// If one could not be made durable: it stays.
pub fn tell_all(app: &App) -> Result<(), Refusal> {
    let dir = app.data().root().join(FOLDER);
    let Ok(entries) = fs::read_dir(&dir) else { return Ok(()) };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let kind = path.file_name().and_then(|name| name.to_str()).and_then(kind_of);
        let fact = kind.and_then(|(version, kind)| Event::decode(kind, version, text.as_bytes()).ok());
        let Some(fact @ Event::Backup(_)) = fact else {
            tracing::warn!(path = %path.display(), "this is no note of ours");
            continue;
        };
        let digest = blake3::derive_key("wardbook 2026 backup notes v1", text.as_bytes());
        let id = uuid::Builder::from_custom_bytes(digest.first_chunk().copied().unwrap_or_default()).into_uuid();
        let by = By::due(app.config().organisation.id, id);
        app.tell_blocking(EventId::new(id), fact, by.meta(), by.client())?;
        if let Err(error) = fs::remove_file(&path) {
            tracing::warn!(%error, "a note that was told was not removed");
        }
    }
    let _ = fs::remove_dir(&dir);
    Ok(())
}
