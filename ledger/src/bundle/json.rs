//! A bundle as JSON. Entries that lie close together share most of the hashes of their proofs, so every hash is written
//! once, in the order of its first use, and proofs name hashes by their number.

use std::collections::HashMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::{Disclosed, SubjectBundle};
use crate::{
    checkpoint::{CheckpointError, SignedCheckpoint},
    ids::{Digest, SubjectId, parse_hex},
    proof::PROOF_HASHES_MAX,
    tree::Hash,
};

const FORMAT: &str = "wardbook subject bundle v1";

/// Why a text is not a bundle.
#[derive(Debug, thiserror::Error)]
pub enum ParseBundleError {
    /// Not JSON, or with a field too many or too few.
    #[error("the bundle is malformed: {0}")]
    Json(#[from] serde_json::Error),
    /// Another format.
    #[error("not a bundle: the format is not \"{FORMAT}\"")]
    Format,
    /// The checkpoint is not one.
    #[error("the bundle's checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// A value is not in its one encoding.
    #[error("event {event} of the bundle: {field} is malformed")]
    Field {
        /// Its place in the bundle, from 1.
        event: u64,
        /// The field.
        field: &'static str,
    },
    /// A hash is malformed, unused, out of order or stands twice.
    #[error("the hashes of the bundle are not in their one form")]
    Hashes,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BundleJson {
    format: String,
    subject: SubjectId,
    checkpoint: String,
    hashes: Vec<String>,
    events: Vec<EventJson>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EventJson {
    count: u64,
    previous: Digest,
    header: String,
    link_at: u16,
    link_salt: String,
    other_links: Vec<String>,
    meta_salt: String,
    meta: String,
    client: String,
    body: String,
    signature: String,
    proof: Vec<usize>,
}

impl SubjectBundle {
    /// The bundle as JSON.
    ///
    /// # Errors
    /// [`serde_json::Error`] if memory for the text cannot be had.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        let mut hashes = Vec::new();
        let mut numbers = HashMap::new();
        let mut events = Vec::with_capacity(self.events.len());
        for event in &self.events {
            let proof = event.proof.iter().map(|hash| {
                *numbers.entry(*hash).or_insert_with(|| {
                    hashes.push(hash.to_base64());
                    hashes.len() - 1
                })
            });
            let proof = proof.collect();
            events.push(EventJson::new(event, proof));
        }
        serde_json::to_string(&BundleJson {
            format: FORMAT.to_owned(),
            subject: self.subject,
            checkpoint: self.checkpoint.to_string(),
            hashes,
            events,
        })
    }

    /// Parses a bundle, without verifying it. Every value has one encoding; only space between values is free.
    ///
    /// # Errors
    /// [`ParseBundleError`] says what is malformed.
    pub fn from_json(text: &str) -> Result<Self, ParseBundleError> {
        let json: BundleJson = serde_json::from_str(text)?;
        if json.format != FORMAT {
            return Err(ParseBundleError::Format);
        }
        let hashes = parse_hashes(&json)?;
        let events = (1..).zip(json.events).map(|(event, json)| {
            let proof: Option<_> = json.proof.iter().map(|at| hashes.get(*at).copied()).collect();
            let proof = proof.ok_or(ParseBundleError::Hashes)?;
            json.open(proof).map_err(|field| ParseBundleError::Field { event, field })
        });
        Ok(Self {
            subject: json.subject,
            checkpoint: SignedCheckpoint::parse(&json.checkpoint)?,
            events: events.collect::<Result<_, _>>()?,
        })
    }
}

/// One bundle has one list of hashes: none twice, each used, in the order of first use.
fn parse_hashes(json: &BundleJson) -> Result<Vec<Hash>, ParseBundleError> {
    let hashes: Option<Vec<_>> = json.hashes.iter().map(|one| Hash::from_base64(one)).collect();
    let hashes = hashes.ok_or(ParseBundleError::Hashes)?;
    let mut distinct = hashes.clone();
    distinct.sort_unstable();
    distinct.dedup();
    let mut used = 0;
    for event in &json.events {
        if event.proof.len() > PROOF_HASHES_MAX {
            return Err(ParseBundleError::Hashes);
        }
        for at in &event.proof {
            match at.cmp(&used) {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal => used += 1,
                std::cmp::Ordering::Greater => return Err(ParseBundleError::Hashes),
            }
        }
    }
    match distinct.len() == hashes.len() && used == hashes.len() {
        true => Ok(hashes),
        false => Err(ParseBundleError::Hashes),
    }
}

impl EventJson {
    fn new(event: &Disclosed, proof: Vec<usize>) -> Self {
        Self {
            count: event.count,
            previous: event.previous,
            header: STANDARD.encode(&event.header),
            // At most `SUBJECTS_MAX` links; a number beyond cannot be built.
            link_at: u16::try_from(event.link_at).unwrap_or(u16::MAX),
            link_salt: hex::encode(event.link_salt),
            other_links: event.other_links.iter().map(hex::encode).collect(),
            meta_salt: hex::encode(event.meta_salt),
            meta: STANDARD.encode(&event.meta),
            client: hex::encode(event.client),
            body: hex::encode(event.body),
            signature: STANDARD.encode(event.signature),
            proof,
        }
    }

    /// The event, or the name of the field that is malformed.
    fn open(self, proof: Vec<Hash>) -> Result<Disclosed, &'static str> {
        let links = self.other_links.iter().map(|link| parse_hex(link));
        let signature = STANDARD.decode(&self.signature).ok();
        Ok(Disclosed {
            header: STANDARD.decode(&self.header).map_err(|_| "header")?,
            link_at: self.link_at.into(),
            link_salt: parse_hex(&self.link_salt).ok_or("link_salt")?,
            previous: self.previous,
            count: self.count,
            other_links: links.collect::<Option<_>>().ok_or("other_links")?,
            meta_salt: parse_hex(&self.meta_salt).ok_or("meta_salt")?,
            meta: STANDARD.decode(&self.meta).map_err(|_| "meta")?,
            client: parse_hex(&self.client).ok_or("client")?,
            body: parse_hex(&self.body).ok_or("body")?,
            signature: signature.and_then(|bytes| bytes.try_into().ok()).ok_or("signature")?,
            proof,
        })
    }
}
