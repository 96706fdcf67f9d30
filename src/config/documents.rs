//! `[documents]`

use serde::{Deserialize, Serialize};
use wardbook_events::documents::MediaType;

/// Where the objects of documents lie.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// In a directory below the data directory.
    #[default]
    Directory,
    /// In a bucket of S3, or of what speaks its protocol.
    S3,
}

/// `[documents]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Documents {
    /// Where the objects lie.
    pub place: Place,
    /// The bucket.
    pub bucket: String,
    /// URL of the service; empty: that of AWS in the region.
    pub endpoint: String,
    /// The region.
    pub region: String,
    /// What the names of objects begin with.
    pub prefix: String,
    /// The KMS key under which the service is to encrypt too; empty: whatever the bucket does.
    pub sse_kms_key: String,
    /// What may be uploaded.
    pub media_types: Vec<MediaType>,
    /// Largest document, in bytes.
    pub size_bytes_max: u64,
    /// Largest image, in bytes: images are looked at whole, in memory.
    pub image_bytes_max: u64,
    /// Uploads that one user has open at most.
    pub uploads_max: usize,
    /// An upload that is not finished in so long is thrown away.
    pub upload_lifetime_s: u32,
    /// How often such uploads are looked for.
    pub sweep_every_s: u32,
}

impl Default for Documents {
    fn default() -> Self {
        Self {
            place: Place::Directory,
            bucket: String::new(),
            endpoint: String::new(),
            region: "us-east-1".to_owned(),
            prefix: "wardbook".to_owned(),
            sse_kms_key: String::new(),
            media_types: MediaType::ALL.to_vec(),
            size_bytes_max: 100 << 20,
            image_bytes_max: 32 << 20,
            uploads_max: 20,
            upload_lifetime_s: 86_400,
            sweep_every_s: 600,
        }
    }
}

impl Documents {
    /// The largest document of a type, in bytes.
    #[must_use]
    pub fn bytes_max(&self, kind: MediaType) -> u64 {
        if kind.is_image() { self.image_bytes_max.min(self.size_bytes_max) } else { self.size_bytes_max }
    }

    /// What must hold, each with the setting's name and the rule.
    pub(super) fn rules(&self) -> [(bool, &'static str, &'static str); 4] {
        [
            (self.place == Place::Directory || !self.bucket.is_empty(), "documents.bucket", "must be given for s3"),
            (
                (1..=256 << 20).contains(&self.image_bytes_max),
                "documents.image_bytes_max",
                "must be from 1 to 268435456: an image is in memory as a whole",
            ),
            (
                (1..=1 << 40).contains(&self.size_bytes_max),
                "documents.size_bytes_max",
                "must be from 1 to 1099511627776",
            ),
            (
                self.upload_lifetime_s >= 60 && self.sweep_every_s >= 1,
                "documents.upload_lifetime_s",
                "must be at least 60, and documents.sweep_every_s at least 1",
            ),
        ]
    }
}
