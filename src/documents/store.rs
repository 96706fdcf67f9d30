//! The object store: sealed bytes under names that say nothing, in a directory or in S3.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use actix_web::web::Bytes;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt as _, WriteMultipart};

use crate::clock::{Chance, NoChance};
use crate::config::{DataDir, Documents as Settings, DocumentsPlace};

/// Bytes that are written at a time; S3 takes no part below 5 MiB but the last.
const PART: usize = 8 << 20;
/// Parts on their way at the same time.
const PARTS_MAX: usize = 2;

/// Why the object store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such object.
    #[error("the object is not in the store; restore it from a backup")]
    Missing,
    /// The settings cannot be used.
    #[error("the object store cannot be used: {0}")]
    Settings(String),
    /// A name is not one of ours.
    #[error("the name of an object has not its form")]
    BadName,
    /// The store failed.
    #[error("the object store failed: {0}")]
    Failed(Error),
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound { .. } => Self::Missing,
            other => Self::Failed(other),
        }
    }
}

/// The objects.
#[derive(Debug, Clone)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    prefix: String,
}

impl Store {
    /// Opens the place that the settings name.
    ///
    /// # Errors
    /// If it cannot be used.
    pub fn open(settings: &Settings, data: &DataDir) -> Result<Self, StoreError> {
        let refused = |error: Error| StoreError::Settings(error.to_string());
        match settings.place {
            DocumentsPlace::Directory => {
                let local = object_store::local::LocalFileSystem::new_with_prefix(data.documents()).map_err(refused)?;
                Ok(Self { objects: Arc::new(local.with_fsync(true)), prefix: String::new() })
            }
            #[cfg(feature = "s3")]
            DocumentsPlace::S3 => {
                let mut builder = object_store::aws::AmazonS3Builder::from_env()
                    .with_bucket_name(&settings.bucket)
                    .with_region(&settings.region);
                if !settings.endpoint.is_empty() {
                    // In clear only where it was asked for: a service on the same machine.
                    let in_clear = settings.endpoint.starts_with("http://");
                    builder = builder.with_endpoint(&settings.endpoint).with_allow_http(in_clear);
                }
                if !settings.sse_kms_key.is_empty() {
                    builder = builder.with_sse_kms_encryption(&settings.sse_kms_key);
                }
                Ok(Self { objects: Arc::new(builder.build().map_err(refused)?), prefix: settings.prefix.clone() })
            }
            #[cfg(not(feature = "s3"))]
            DocumentsPlace::S3 => Err(StoreError::Settings(
                "this program was built without the feature `s3`: build it with --features s3".to_owned(),
            )),
        }
    }

    /// The same in another store, below a prefix: what backups keep of the objects.
    pub(crate) fn within(objects: Arc<dyn ObjectStore>, prefix: String) -> Self {
        Self { objects, prefix }
    }

    /// A name for a new object.
    ///
    /// # Errors
    /// If the operating system has no random bytes to give.
    pub fn new_name(chance: &Chance) -> Result<String, NoChance> {
        Ok(hex::encode(chance.bytes::<16>()?))
    }

    /// Two hex digits as a directory, so that none has too many entries.
    fn path(&self, name: &str) -> Result<Path, StoreError> {
        let is_ours = name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        let shard = name.get(..2).filter(|_| is_ours).ok_or(StoreError::BadName)?;
        Ok(Path::from_iter(self.prefix.split('/').chain([shard, name]).filter(|part| !part.is_empty())))
    }

    /// Begins to write an object; one of the same name is replaced when the writing ends well.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn write(&self, name: &str) -> Result<Writing, StoreError> {
        let upload = self.objects.put_multipart(&self.path(name)?).await?;
        Ok(Writing(WriteMultipart::new_with_chunk_size(upload, PART)))
    }

    /// Bytes of an object.
    ///
    /// # Errors
    /// [`StoreError::Missing`] among others.
    pub async fn size(&self, name: &str) -> Result<u64, StoreError> {
        Ok(self.objects.head(&self.path(name)?).await?.size)
    }

    /// A part of an object.
    ///
    /// # Errors
    /// [`StoreError::Missing`] among others.
    pub async fn read(&self, name: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        Ok(self.objects.get_range(&self.path(name)?, range).await?)
    }

    /// Deletes an object; tells whether there was one.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn delete(&self, name: &str) -> Result<bool, StoreError> {
        // S3 says yes to deleting what is not there, so it is looked for first.
        match self.size(name).await {
            Err(StoreError::Missing) => return Ok(false),
            size => drop(size?),
        }
        match self.objects.delete(&self.path(name)?).await.map_err(StoreError::from) {
            Err(StoreError::Missing) => Ok(false),
            done => done.map(|()| true),
        }
    }

    /// The names of all objects.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn names(&self) -> Result<BTreeSet<String>, StoreError> {
        let root = Path::from(self.prefix.as_str());
        let mut names = BTreeSet::new();
        for shard in self.objects.list_with_delimiter(Some(&root)).await?.common_prefixes {
            let listed = self.objects.list_with_delimiter(Some(&shard)).await?;
            names.extend(listed.objects.iter().filter_map(|object| object.location.filename().map(str::to_owned)));
        }
        Ok(names)
    }
}

/// An object that is being written. Nobody sees it before [`Writing::finish`].
#[derive(Debug)]
pub struct Writing(WriteMultipart);

impl Writing {
    /// Adds bytes; waits while too much is on its way.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn put(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        self.0.wait_for_capacity(PARTS_MAX).await?;
        self.0.put(bytes);
        Ok(())
    }
    /// Makes it durable.
    ///
    /// # Errors
    /// If the store fails; then there is no such object.
    pub async fn finish(self) -> Result<(), StoreError> {
        self.0.finish().await?;
        Ok(())
    }
    /// Gives it up.
    pub async fn abort(self) {
        if let Err(error) = self.0.abort().await {
            tracing::warn!(%error, "parts of an object that was given up are left in the store");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn objects_come_back_in_parts_and_go_for_good() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::new(dir.path());
        std::fs::create_dir_all(data.documents()).unwrap();
        let store = Store::open(&Settings::default(), &data).unwrap();
        let name = Store::new_name(&Chance::system()).unwrap();
        assert!(matches!(store.size(&name).await, Err(StoreError::Missing)));
        let content: Vec<u8> = (0..(PART * 2 + 7)).map(|i| i as u8).collect();
        let mut writing = store.write(&name).await.unwrap();
        for part in content.chunks(3 << 20) {
            writing.put(Bytes::copy_from_slice(part)).await.unwrap();
        }
        assert!(store.names().await.unwrap().is_empty(), "nobody sees it yet");
        writing.finish().await.unwrap();
        assert_eq!(store.size(&name).await.unwrap(), content.len() as u64);
        let part = store.read(&name, 8_388_000..8_389_000).await.unwrap();
        assert_eq!(part, content[8_388_000..8_389_000]);
        assert_eq!(store.names().await.unwrap(), BTreeSet::from([name.clone()]));
        assert!(store.delete(&name).await.unwrap());
        assert!(!store.delete(&name).await.unwrap());
        assert!(store.names().await.unwrap().is_empty());
        for bad in ["", "../../etc/passwd", "0123", "zz345678901234567890123456789012"] {
            assert!(matches!(store.size(bad).await, Err(StoreError::BadName)), "{bad}");
        }
    }
}
