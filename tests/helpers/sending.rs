//! Sending documents.

use serde_json::{Value, json};
use wardbook_events::PatientId;

use super::{Answer, Client};

/// A document on its way.
pub struct Sent {
    client: Client,
    pub upload: String,
}

/// Announces a document and sends it in one piece. `more` is added to what is announced.
#[track_caller]
pub fn upload(client: &Client, patient: PatientId, media_type: &str, content: &[u8], more: &Value) -> Sent {
    let sent = begin(client, patient, media_type, content.len(), more);
    let answer = sent.piece(0, content);
    assert_eq!(answer.status, 204, "{}", answer.text());
    assert_eq!(answer.header("upload-offset"), content.len().to_string());
    sent
}

/// Announces a document.
#[track_caller]
pub fn begin(client: &Client, patient: PatientId, media_type: &str, size: usize, more: &Value) -> Sent {
    let mut body = json!({"title": "Discharge letter", "media_type": media_type, "size_bytes": size});
    for (name, value) in more.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    let answer = client.post(&format!("/v1/patients/{patient}/documents"), &body);
    assert_eq!(answer.status, 201, "{}", answer.text());
    let upload = answer.json()["upload"].as_str().unwrap().to_owned();
    assert_eq!(answer.header("location"), format!("/v1/uploads/{upload}"));
    Sent { client: client.clone(), upload }
}

impl Sent {
    /// The same upload of the same caller at another address.
    pub fn at(&self, client: &Client) -> Self {
        Self { client: client.clone().with_headers_of(&self.client), upload: self.upload.clone() }
    }
    /// Sends a piece that begins at an offset.
    pub fn piece(&self, offset: usize, content: &[u8]) -> Answer {
        let client = self.client.with("Upload-Offset", &offset.to_string());
        client.raw("PATCH", &self.path(), Some("application/offset+octet-stream"), content)
    }
    pub fn path(&self) -> String {
        format!("/v1/uploads/{}", self.upload)
    }
    /// How far it came.
    pub fn offset(&self) -> usize {
        let answer = self.client.get(&self.path());
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["offset"].to_string(), answer.header("upload-offset"));
        answer.header("upload-offset").parse().unwrap()
    }
    pub fn try_finish(&self) -> Answer {
        self.client.post(&format!("{}/finish", self.path()), &json!({}))
    }
    /// Finishes it and gives the document's id.
    #[track_caller]
    pub fn finish(&self) -> String {
        let answer = self.try_finish();
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()["document"].as_str().unwrap().to_owned()
    }
}
