//! A place where backups are kept: a directory, or a bucket of S3.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, mpsc};

use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};

use crate::documents::Store;

/// A place could not be used.
#[derive(Debug, thiserror::Error)]
#[error("the place {place}: {fault}")]
pub struct PlaceError {
    /// Which one.
    pub place: String,
    /// What is wrong.
    pub fault: PlaceFault,
}

/// What is wrong with a place.
#[derive(Debug, thiserror::Error)]
pub enum PlaceFault {
    /// The directory is not there, so perhaps a disk is not mounted.
    #[error("there is no such directory: mount it, or make it")]
    NoDirectory,
    /// Not a directory and not a bucket.
    #[error("it is neither a directory nor s3://bucket/prefix")]
    Unknown,
    /// The program was built without S3.
    #[error("this program was built without S3: build it with the feature s3")]
    NoS3,
    /// An object is not there.
    #[error("{0} is missing")]
    Missing(String),
    /// It does not answer, or refuses.
    #[error("it cannot be used: {0}")]
    Unreachable(String),
}

impl PlaceError {
    /// Whether it is only that an object is not there.
    #[must_use]
    pub const fn is_missing(&self) -> bool {
        matches!(self.fault, PlaceFault::Missing(_))
    }
}

/// An open place. Its calls block; they may be made from any thread.
#[derive(Debug, Clone)]
pub struct Place {
    name: String,
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    /// The directory, if it is one.
    directory: Option<PathBuf>,
}

/// Object stores are async, backups are not: a thread of their own drives them.
static RUNTIME: LazyLock<std::io::Result<tokio::runtime::Runtime>> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("places").enable_all().build()
});

impl Place {
    /// Opens a place by its name in the settings.
    ///
    /// # Errors
    /// If it is no place, or a directory that is not there.
    pub fn open(name: &str) -> Result<Self, PlaceError> {
        let name = name.trim_end_matches('/');
        let fail = |fault| PlaceError { place: name.to_owned(), fault };
        let (store, prefix, directory): (Arc<dyn ObjectStore>, _, _) = match name.split_once("://") {
            None => {
                let directory = fs::canonicalize(name).ok().filter(|path| path.is_dir());
                let directory = directory.ok_or_else(|| fail(PlaceFault::NoDirectory))?;
                let store = LocalFileSystem::new_with_prefix(&directory)
                    .map_err(|error| fail(PlaceFault::Unreachable(error.to_string())))?;
                (Arc::new(store.with_fsync(true)), Path::default(), Some(directory))
            }
            Some(("s3", rest)) => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                (s3(bucket).map_err(fail)?, Path::from(prefix), None)
            }
            Some(_) => return Err(fail(PlaceFault::Unknown)),
        };
        Ok(Self { name: name.to_owned(), store, prefix, directory })
    }

    /// Its name in the settings.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What makes two names one place.
    #[must_use]
    pub fn identity(&self) -> String {
        self.directory.as_ref().map_or_else(|| self.name.clone(), |directory| directory.display().to_string())
    }

    /// Keeps an object, whole or not at all; what had the name before is gone. On return it is durable.
    ///
    /// # Errors
    /// If the place cannot be used.
    pub fn put(&self, object: &str, content: Vec<u8>) -> Result<(), PlaceError> {
        let (store, path) = (Arc::clone(&self.store), self.path(object));
        self.wait(object, async move { store.put(&path, content.into()).await.map(|_| ()) })
    }

    /// The content of an object.
    ///
    /// # Errors
    /// If it is not there, or the place cannot be used.
    pub fn get(&self, object: &str) -> Result<Vec<u8>, PlaceError> {
        let (store, path) = (Arc::clone(&self.store), self.path(object));
        self.wait(object, async move { Ok(store.get(&path).await?.bytes().await?.into()) })
    }

    /// As [`Place::get`]; `None` if it is not there.
    ///
    /// # Errors
    /// If the place cannot be used.
    pub fn find(&self, object: &str) -> Result<Option<Vec<u8>>, PlaceError> {
        match self.get(object) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Names of what is in a folder: objects, or folders below it.
    ///
    /// # Errors
    /// If the place cannot be used.
    pub fn list(&self, folder: &str) -> Result<Vec<String>, PlaceError> {
        let (store, path) = (Arc::clone(&self.store), self.path(folder));
        let listed = self.wait(folder, async move { store.list_with_delimiter(Some(&path)).await });
        let listed = match listed {
            Err(error) if error.is_missing() => return Ok(Vec::new()),
            listed => listed?,
        };
        let objects = listed.objects.into_iter().map(|object| object.location);
        let all = objects.chain(listed.common_prefixes);
        Ok(all.filter_map(|path| path.filename().map(str::to_owned)).collect())
    }

    /// Removes an object; fine if it is not there.
    ///
    /// # Errors
    /// If the place cannot be used.
    pub fn remove(&self, object: &str) -> Result<(), PlaceError> {
        let (store, path) = (Arc::clone(&self.store), self.path(object));
        match self.wait(object, async move { store.delete(&path).await }) {
            Err(error) if error.is_missing() => Ok(()),
            removed => removed,
        }
    }

    /// As [`Place::remove`], but overwrites it first where that can be done.
    ///
    /// # Errors
    /// If the place cannot be used.
    pub fn wipe(&self, object: &str) -> Result<(), PlaceError> {
        if let Some(directory) = &self.directory {
            let wiped = zero(&directory.join(object));
            wiped.map_err(|error| self.fault(PlaceFault::Unreachable(error.to_string())))?;
        }
        self.remove(object)
    }

    /// What it keeps of the objects of documents.
    #[must_use]
    pub fn documents(&self) -> Store {
        Store::within(Arc::clone(&self.store), self.path("documents").to_string())
    }

    fn path(&self, object: &str) -> Path {
        object.split('/').fold(self.prefix.clone(), |path, part| path.join(part))
    }

    fn fault(&self, fault: PlaceFault) -> PlaceError {
        PlaceError { place: self.name.clone(), fault }
    }

    fn wait<T: Send + 'static>(
        &self,
        object: &str,
        work: impl Future<Output = object_store::Result<T>> + Send + 'static,
    ) -> Result<T, PlaceError> {
        let gone = || self.fault(PlaceFault::Unreachable("there is no thread to ask it".into()));
        block_on(work).ok_or_else(gone)?.map_err(|error| match error {
            object_store::Error::NotFound { .. } => self.fault(PlaceFault::Missing(object.to_owned())),
            other => self.fault(PlaceFault::Unreachable(other.to_string())),
        })
    }
}

/// Does something async on the thread of the places and waits for it; `None` if there is no such thread.
pub(super) fn block_on<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Option<T> {
    let runtime = RUNTIME.as_ref().ok()?;
    let (sender, answer) = mpsc::sync_channel(1);
    runtime.spawn(async move {
        // Nobody waits any more only if the asking thread is gone.
        let _ = sender.send(work.await);
    });
    answer.recv().ok()
}

/// Overwrites a file with zeros, in place: its blocks are not to be found among the free ones.
fn zero(path: &std::path::Path) -> std::io::Result<()> {
    let mut file = match OpenOptions::new().write(true).open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let zeros = [0; 4096];
    let mut left = file.metadata()?.len();
    while left > 0 {
        let piece = usize::try_from(left).unwrap_or(usize::MAX).min(zeros.len());
        file.write_all(zeros.get(..piece).unwrap_or(&zeros))?;
        left -= piece as u64;
    }
    file.sync_all()
}

#[cfg(feature = "s3")]
fn s3(bucket: &str) -> Result<Arc<dyn ObjectStore>, PlaceFault> {
    use std::time::Duration;
    // A place that is away is told of within a minute; the next backup catches up.
    let retry = object_store::RetryConfig {
        max_retries: 3,
        retry_timeout: Duration::from_secs(30),
        ..object_store::RetryConfig::default()
    };
    let client = object_store::ClientOptions::new().with_connect_timeout(Duration::from_secs(10));
    // Without TLS only to this machine; what is kept is sealed, but names and times are not.
    let here =
        |url: &str| ["http://127.0.0.1:", "http://localhost:", "http://[::1]:"].iter().any(|it| url.starts_with(it));
    let http = std::env::var("AWS_ENDPOINT_URL").is_ok_and(|url| here(&url));
    let store = object_store::aws::AmazonS3Builder::from_env()
        .with_client_options(client.with_allow_http(http))
        .with_bucket_name(bucket)
        .with_retry(retry)
        .build();
    store
        .map(|store| Arc::new(store) as Arc<dyn ObjectStore>)
        .map_err(|error| PlaceFault::Unreachable(error.to_string()))
}

#[cfg(not(feature = "s3"))]
fn s3(_bucket: &str) -> Result<Arc<dyn ObjectStore>, PlaceFault> {
    Err(PlaceFault::NoS3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_in_a_directory_comes_back_is_listed_and_wiped() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::open(dir.path().to_str().unwrap()).unwrap();
        assert!(place.list("backups").unwrap().is_empty());
        place.put("backups/a/part", b"one".to_vec()).unwrap();
        place.put("backups/a/part", b"two".to_vec()).unwrap();
        place.put("backups/b/part", Vec::new()).unwrap();
        assert_eq!(place.get("backups/a/part").unwrap(), b"two");
        let mut listed = place.list("backups").unwrap();
        listed.sort();
        assert_eq!((listed, place.list("backups/a").unwrap()), (vec!["a".into(), "b".into()], vec!["part".into()]));
        assert!(place.find("backups/c").unwrap().is_none());
        assert!(place.get("backups/c").unwrap_err().is_missing());
        let link = dir.path().join("kept");
        fs::hard_link(dir.path().join("backups/a/part"), &link).unwrap();
        place.wipe("backups/a/part").unwrap();
        assert_eq!(fs::read(&link).unwrap(), [0; 3], "overwritten, not only unlinked");
        assert!(place.find("backups/a/part").unwrap().is_none());
        place.remove("backups/a/part").unwrap();
    }

    #[test]
    fn a_disk_that_is_not_mounted_is_not_made_up() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("missing");
        let error = Place::open(missing.to_str().unwrap()).unwrap_err();
        assert!(matches!(error.fault, PlaceFault::NoDirectory) && !missing.exists());
        assert!(matches!(Place::open("ftp://somewhere").unwrap_err().fault, PlaceFault::Unknown));
    }
}
