//! The ledger for everyone: checkpoint, tiles, proofs, keys. Nothing here says anything of anybody: leaves are digests.

use actix_web::http::header;
use actix_web::{HttpResponse, get, web};
use wardbook_ledger::tile::TilePath;
use wardbook_ledger::{EventId, Position};

use crate::api::caller::Anyone;
use crate::api::problem::{Kind, Problem};

const TEXT: (header::HeaderName, &str) = (header::CONTENT_TYPE, "text/plain; charset=utf-8");

/// The newest checkpoint, a C2SP signed note (tlog-checkpoint).
#[utoipa::path(tag = "ledger", responses(
    (status = 200, description = "signed note", body = String, content_type = "text/plain"),
    (status = 404, description = "nothing was published yet"),
))]
#[get("/v1/ledger/checkpoint")]
pub async fn read_checkpoint(anyone: Anyone) -> Result<HttpResponse, Problem> {
    let checkpoint = anyone.app.ledger().checkpoint().ok_or_else(|| {
        Problem::new(Kind::NotFound, "no checkpoint was published yet: try again within a few seconds")
    })?;
    Ok(HttpResponse::Ok().insert_header(TEXT).body(checkpoint.to_string()))
}

/// A tile of the tree, below the prefix of C2SP tlog-tiles: `tile/0/x001/067`, `tile/entries/000.p/5`.
#[utoipa::path(tag = "ledger",
    params(("path" = String, Path, description = "level and index, such as `0/000.p/5` or `entries/000`")),
    responses(
        (status = 200, description = "the tile", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 404, description = "the published tree has no such tile"),
    ))]
#[get("/v1/ledger/tile/{path:.*}")]
pub async fn read_tile(anyone: Anyone, path: web::Path<String>) -> Result<HttpResponse, Problem> {
    let path: TilePath = format!("tile/{path}").parse().map_err(|_| no_tile())?;
    let ledger = anyone.app.ledger().clone();
    let is_full = path.is_full();
    let bytes = web::block(move || ledger.tile(&path)).await??;
    // A full tile never changes; a partial one is only of use until the next checkpoint.
    let cache = if is_full { "public, max-age=31536000, immutable" } else { "public, max-age=60" };
    let answer = HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "application/octet-stream"))
        .insert_header((header::CACHE_CONTROL, cache))
        .body(bytes);
    Ok(answer)
}

fn no_tile() -> Problem {
    Problem::new(
        Kind::NotFound,
        "the published tree has no such tile: see C2SP tlog-tiles for the paths, and the checkpoint for the size",
    )
}

/// Proof that the newest checkpoint commits to an event (C2SP tlog-proof), by position or event id.
#[utoipa::path(tag = "ledger",
    params(("event" = String, Path, description = "position (`Wardbook-Position`) or event id (`Wardbook-Event`)")),
    responses(
        (status = 200, description = "tlog-proof, with digest and signature of the event", body = String, content_type = "text/plain"),
        (status = 404, description = "there is no such event"),
        (status = 503, description = "no checkpoint covers it yet: try again after Retry-After", body = crate::api::problem::ProblemBody),
    ))]
#[get("/v1/ledger/proof/{event}")]
pub async fn prove_event(anyone: Anyone, event: web::Path<String>) -> Result<HttpResponse, Problem> {
    let nothing = || {
        Problem::new(Kind::NotFound, "there is no such event: send a position or an event id that an answer gave you")
    };
    let ledger = anyone.app.ledger().clone();
    let proof = web::block(move || {
        let position = match event.parse::<u64>() {
            Ok(position) => Position(position),
            Err(_) => {
                let id: wardbook_events::EventId = event.parse().map_err(|_| nothing())?;
                ledger.find(&EventId::from_bytes(*id.bytes()))?.ok_or_else(nothing)?.position()
            }
        };
        if position.get() >= ledger.head().durable {
            return Err(nothing());
        }
        Ok(ledger.prove_inclusion(position)?)
    });
    let proof = proof.await??;
    Ok(HttpResponse::Ok().insert_header(TEXT).body(proof.to_string()))
}

/// Every public key that ever signed events or checkpoints (C2SP signed-note verifier keys).
#[utoipa::path(tag = "ledger", responses((status = 200, description = "one key a line", body = String, content_type = "text/plain")))]
#[get("/v1/ledger/keys")]
pub async fn list_keys(anyone: Anyone) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().insert_header(TEXT).body(anyone.app.ledger().keys().to_string()))
}
