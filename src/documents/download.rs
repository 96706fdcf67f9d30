//! Giving a document back: policy, then the event, durable, then chunk after chunk, each authenticated before it leaves.

use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::web::Bytes;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use wardbook_events::access::DocumentOpened;
use wardbook_events::documents::DocumentBody;
use wardbook_events::{EventId, GroupSet, Outcome, PatientId, RecordId};
use wardbook_keys::{OBJECT_CHUNK, ObjectId, ObjectOpener, SEALED_CHUNK};
use wardbook_ledger::Receipt;
use wardbook_policy::{Action, Permit};
use wardbook_projections::documents::Document;
use zeroize::Zeroizing;

use super::error::DocumentError;
use super::{blocking, found, known_to};
use crate::app::App;
use crate::asker::Asker;
use crate::disclosure::{Case, Opening};

/// Chunks that are fetched at a time.
const FETCH: u64 = 4;
/// Fetched pieces that may wait for a slow client.
const AHEAD: usize = 2;

/// A part of a document: the first byte and the one after the last.
pub type Range = std::ops::Range<u64>;

/// What is asked for, as `Range` says it (RFC 9110 section 14.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requested {
    /// All of it.
    Whole,
    /// From a byte to another one, both included, or to the end.
    From(u64, Option<u64>),
    /// So many bytes at the end.
    Last(u64),
}

impl Requested {
    /// Reads the header; several ranges, other units and what makes no sense are as good as none (section 14.2).
    #[must_use]
    pub fn parse(header: Option<&str>) -> Self {
        let read = |text: &str| {
            let (first, last) = text.strip_prefix("bytes=")?.trim().split_once('-')?;
            let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten();
            match (first.is_empty(), last.is_empty()) {
                (true, _) => Some(Self::Last(number(last)?)),
                (false, true) => Some(Self::From(number(first)?, None)),
                (false, false) => {
                    let (first, last) = (number(first)?, number(last)?);
                    (first <= last).then_some(Self::From(first, Some(last)))
                }
            }
        };
        header.and_then(read).unwrap_or(Self::Whole)
    }

    /// The bytes of a document of this size; `None` if it has none of them.
    #[must_use]
    pub fn within(self, size: u64) -> Option<Range> {
        let range = match self {
            Self::Whole => return Some(0..size),
            Self::From(first, last) => first..last.map_or(size, |last| size.min(last.saturating_add(1))),
            Self::Last(count) => size.saturating_sub(count)..size,
        };
        (range.start < range.end).then_some(range)
    }
}

/// A document that is being given out.
pub struct Opened {
    /// What is known of it.
    pub document: Document,
    /// What it says of itself.
    pub body: DocumentBody,
    /// Which bytes; `None` if there are none such, and then nothing was opened but the body.
    pub range: Option<Range>,
    /// Whether only a part was asked for.
    pub is_part: bool,
    /// The content.
    pub content: Option<Body>,
    /// The event that tells of it.
    pub receipt: Receipt,
}

/// Opens a document. The first bytes have been read and authenticated on return.
///
/// # Errors
/// [`crate::disclosure::Refusal::Hidden`] if there is no such document for this caller; what is wrong with its object.
pub async fn open(app: &App, asker: &Asker, document: RecordId, requested: Requested) -> Result<Opened, DocumentError> {
    let known = known_to(app, asker, document)?;
    // A document that nobody has takes the way of one whose patient nobody knows.
    let patient = known.as_ref().map_or_else(|| PatientId::from_bytes(*document.bytes()), |known| known.patient);
    let case = Case::to_read(app, asker, patient)?;
    case.read(GroupSet::all(), Action::ReadRecords).await?;
    let permitted = match known {
        Some(known) => case.read_entry(known.patient, &known.facts())?.map(|permit| (known, permit)),
        None => None,
    };
    let Some((known, permit)) = permitted else { return Err(case.hidden(Action::ReadRecords).await.into()) };
    let range = requested.within(known.size_bytes);
    let is_part = range.as_ref().is_none_or(|range| *range != (0..known.size_bytes));
    let fact = DocumentOpened {
        patient: case.id(),
        document,
        range: Some(range.clone().unwrap_or(0..0)).filter(|_| is_part).map(|range| (range.start, range.end)),
        groups: permit.groups(),
        grounds: permit.grounds(),
    };
    let others: Vec<_> = Some(known.patient).filter(|of| *of != case.id()).into_iter().collect();
    let receipt = case.tell(fact, Outcome::Success, &others).await?;
    let opening = Opening::new(app, asker, receipt.clone());
    let body = opening.open(&permit, &known.sealed_body())?;
    let content = match range.clone() {
        Some(range) => Some(content(app, asker, (&permit, &receipt), &known, range).await?),
        None => None,
    };
    Ok(Opened { document: known, body, range, is_part, content, receipt })
}

async fn content(
    app: &App,
    asker: &Asker,
    (permit, receipt): (&Permit, &Receipt),
    known: &Document,
    range: Range,
) -> Result<Body, DocumentError> {
    let Document { tenant, patient, document, size_bytes: size, .. } = *known;
    let id = ObjectId { tenant, patient, document, size };
    let opener = app.keys().open_object(permit, receipt, id, &known.sealed_key())?;
    let event = EventId::from_bytes(*receipt.event_id().as_bytes());
    let mut reader = Reader {
        app: app.clone(),
        known: known.clone(),
        opener,
        at: range.start,
        end: range.end,
        cause: (asker.correlation, event),
    };
    reader.check_length().await?;
    let first = reader.next().await?;
    let (sender, pieces) = channel(AHEAD);
    tokio::spawn(reader.run(sender));
    Ok(Body { first, pieces, left: range.end - range.start })
}

/// Fetches and opens the chunks of a range, in order.
struct Reader {
    app: App,
    known: Document,
    opener: ObjectOpener,
    at: u64,
    end: u64,
    cause: (wardbook_events::CorrelationId, EventId),
}

impl Reader {
    async fn check_length(&self) -> Result<(), DocumentError> {
        let size = self.app.documents().store().size(&self.known.object.name).await;
        self.told(size.map_err(DocumentError::from).and_then(|size| Ok(self.opener.id().check_length(size)?))).await
    }

    /// What is wrong with the object is written down before it is answered.
    async fn told<T>(&self, result: Result<T, DocumentError>) -> Result<T, DocumentError> {
        if let Some(fault) = result.as_ref().err().and_then(DocumentError::fault) {
            found(&self.app, &self.known, fault, Some(self.cause)).await;
        }
        result
    }

    /// The next bytes, at most [`FETCH`] chunks; nothing at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, DocumentError> {
        if self.at >= self.end {
            return Ok(None);
        }
        let piece = self.piece().await;
        let piece = self.told(piece).await?;
        self.at += piece.len() as u64;
        Ok(Some(piece))
    }

    async fn piece(&self) -> Result<Bytes, DocumentError> {
        let chunk = OBJECT_CHUNK as u64;
        let first = self.at / chunk;
        let last = first.saturating_add(FETCH).min(self.end.div_ceil(chunk));
        let from = first * SEALED_CHUNK as u64;
        let until = self.opener.id().sealed_size().min(last * SEALED_CHUNK as u64);
        let sealed = self.app.documents().store().read(&self.known.object.name, from..until).await?;
        let (opener, skip) = (self.opener.clone(), usize::try_from(self.at - first * chunk).unwrap_or(0));
        let wanted = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        blocking(move || {
            let mut text = Zeroizing::new(Vec::with_capacity(sealed.len()));
            for (sealed, index) in sealed.chunks(SEALED_CHUNK).zip(first..) {
                text.extend_from_slice(&opener.open(index, sealed)?);
            }
            let length = text.len();
            let bytes = Bytes::from_owner(text);
            Ok(bytes.slice(skip.min(length)..skip.saturating_add(wanted).min(length)))
        })
        .await
    }

    /// Reads on while somebody takes it.
    async fn run(mut self, sender: Sender<Result<Bytes, DocumentError>>) {
        loop {
            let piece = match self.next().await {
                Ok(Some(piece)) => Ok(piece),
                Ok(None) => return,
                Err(error) => Err(error),
            };
            let is_last = piece.is_err();
            if sender.send(piece).await.is_err() || is_last {
                return;
            }
        }
    }
}

/// The content on its way. Where it turns out to be damaged it ends with an error, so that the connection breaks before
/// the announced length is reached, and nobody takes a part for the whole.
pub struct Body {
    first: Option<Bytes>,
    pieces: Receiver<Result<Bytes, DocumentError>>,
    left: u64,
}

impl Body {
    /// Bytes to come.
    #[must_use]
    pub const fn left(&self) -> u64 {
        self.left
    }
}

impl MessageBody for Body {
    type Error = actix_web::Error;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.left)
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        if let Some(first) = self.first.take() {
            self.left -= first.len() as u64;
            return Poll::Ready(Some(Ok(first)));
        }
        let piece = match self.pieces.poll_recv(context) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(piece) => piece,
        };
        Poll::Ready(match piece {
            Some(Ok(piece)) => {
                self.left -= piece.len() as u64;
                Some(Ok(piece))
            }
            Some(Err(error)) => Some(Err(broken(&error))),
            None if self.left > 0 => Some(Err(broken(&DocumentError::Lost))),
            None => None,
        })
    }
}

fn broken(error: &DocumentError) -> actix_web::Error {
    tracing::error!(%error, "a download was broken off");
    actix_web::error::ErrorInternalServerError("the document is damaged")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        let within = |header: &str| Requested::parse(Some(header)).within(100);
        assert_eq!(Requested::parse(None).within(100), Some(0..100));
        assert_eq!(Requested::parse(None).within(0), Some(0..0));
        assert_eq!(within("bytes=0-0"), Some(0..1));
        assert_eq!(within("bytes=10-19"), Some(10..20));
        assert_eq!(within("bytes=90-"), Some(90..100));
        assert_eq!(within("bytes=90-1000"), Some(90..100));
        assert_eq!(within("bytes=-10"), Some(90..100));
        assert_eq!(within("bytes=-1000"), Some(0..100));
        for none in ["bytes=100-", "bytes=-0", "bytes=200-300"] {
            assert_eq!(within(none), None, "{none}");
        }
        for whole in ["bytes=20-10", "bytes=0-1,5-6", "lines=1-2", "bytes=a-b", "bytes=-", "bytes=+1-2", "x"] {
            assert_eq!(Requested::parse(Some(whole)), Requested::Whole, "{whole}");
        }
    }
}
