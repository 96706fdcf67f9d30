//! Files of FHIR documents: one at a time in memory, however large the set is.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use wardbook_ledger::Progress;

use crate::fhir;

/// A single document may not be longer (a line of bulk data, or a file with one bundle).
const DOCUMENT_BYTES_MAX: u64 = 64 << 20;

/// A file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {path}: {source}")]
pub struct SourceError {
    path: PathBuf,
    source: io::Error,
}

/// How much there is to do.
#[derive(Debug, Clone, Copy, Default)]
pub struct Total {
    /// Patients.
    pub patients: u64,
    /// All resources.
    pub resources: u64,
}

/// Counts resources, for the progress bar.
pub(super) fn count(paths: &[PathBuf], progress: &dyn Progress) -> Result<Total, SourceError> {
    let mut total = Total::default();
    for document in documents(paths)? {
        for resource in fhir::resources(&document?).into_iter().flatten() {
            total.resources += u64::from(resource.resource_type != "Coverage");
            total.patients += u64::from(resource.resource_type == "Patient");
        }
        progress.advance("reading", total.resources, 0);
    }
    Ok(total)
}

/// The documents of files and directories: each line of `.ndjson`, each `.json` file. Files of a directory in order of
/// their names, those that begin with `_` or `manifest` left out: they describe an export and are not part of it.
///
/// # Errors
/// If a path cannot be read.
pub fn documents(paths: &[PathBuf]) -> Result<impl Iterator<Item = Result<String, SourceError>> + use<>, SourceError> {
    let mut files = Vec::new();
    for path in paths {
        collect(path, true, &mut files)?;
    }
    Ok(files.into_iter().flat_map(|path| match read(&path) {
        Ok(documents) => documents,
        Err(source) => Box::new(std::iter::once(Err(SourceError { path, source }))),
    }))
}

fn collect(path: &Path, named: bool, files: &mut Vec<PathBuf>) -> Result<(), SourceError> {
    let fail = |source| SourceError { path: path.to_owned(), source };
    if fs::metadata(path).map_err(fail)?.is_dir() {
        let mut inside = fs::read_dir(path)
            .map_err(fail)?
            .map(|e| e.map(|e| e.path()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(fail)?;
        inside.sort();
        return inside.iter().try_for_each(|path| collect(path, false, files));
    }
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let extension = path.extension().and_then(|extension| extension.to_str());
    let describes = name.starts_with('_') || name.starts_with("manifest");
    if named || (matches!(extension, Some("json" | "ndjson")) && !describes) {
        files.push(path.to_owned());
    }
    Ok(())
}

type Documents = Box<dyn Iterator<Item = Result<String, SourceError>>>;

fn read(path: &Path) -> io::Result<Documents> {
    let file = File::open(path)?;
    let too_long = || io::Error::other(format!("a document is longer than {DOCUMENT_BYTES_MAX} bytes: split it"));
    if path.extension().is_some_and(|extension| extension == "ndjson") {
        let mut reader = BufReader::new(file);
        let path = path.to_owned();
        return Ok(Box::new(std::iter::from_fn(move || {
            loop {
                let mut line = String::new();
                let read = reader.by_ref().take(DOCUMENT_BYTES_MAX + 1).read_line(&mut line);
                let fail = |source| SourceError { path: path.clone(), source };
                match read {
                    Ok(0) => return None,
                    Ok(length) if length as u64 > DOCUMENT_BYTES_MAX => return Some(Err(fail(too_long()))),
                    Ok(_) if line.trim().is_empty() => {}
                    Ok(_) => return Some(Ok(line)),
                    Err(source) => return Some(Err(fail(source))),
                }
            }
        })));
    }
    let mut text = String::new();
    let length = file.take(DOCUMENT_BYTES_MAX + 1).read_to_string(&mut text)?;
    if length as u64 > DOCUMENT_BYTES_MAX {
        return Err(too_long());
    }
    Ok(Box::new(std::iter::once(Ok(text))))
}
