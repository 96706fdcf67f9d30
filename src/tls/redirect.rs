//! From HTTP to HTTPS (OPS-02). Only what is safe to repeat is sent on: whatever else came over plain HTTP was seen by others
//! already, and must not look as if it had worked.

use std::net::TcpListener;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, HttpServer, ResponseError as _, web};

use super::Tls;
use crate::api::edge::SECURITY_HEADERS;
use crate::api::problem::{Kind, Problem};

/// Sends browsers on to the same host at this port.
pub fn serve(listener: TcpListener, tls: Tls, port: u16, header_timeout: Duration) -> std::io::Result<Server> {
    let server = HttpServer::new(move || {
        let tls = tls.clone();
        let answer = move |request: HttpRequest| std::future::ready(send_on(&request, &tls, port));
        actix_web::App::new().default_service(web::to(answer))
    });
    let server = server.workers(1).disable_signals().client_request_timeout(header_timeout).shutdown_timeout(1);
    Ok(server.listen(listener)?.run())
}

fn send_on(request: &HttpRequest, tls: &Tls, port: u16) -> HttpResponse {
    let mut answer = match location(request, tls, port) {
        Ok(location) => HttpResponse::build(StatusCode::MOVED_PERMANENTLY)
            .insert_header((header::LOCATION, location))
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .finish(),
        Err(problem) => problem.error_response(),
    };
    // No Strict-Transport-Security: over plain HTTP it means nothing (RFC 6797 section 7.2).
    for (name, value) in SECURITY_HEADERS {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

fn location(request: &HttpRequest, tls: &Tls, port: u16) -> Result<String, Problem> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(Problem::new(Kind::TlsRequired, "send this over HTTPS; consider what you sent as seen by others"));
    }
    // Only to hosts of ours: nobody is sent elsewhere by a made-up Host.
    let authority = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let host = host_of(authority);
    if !tls.certificates().iter().any(|certificate| certificate.is_for(host.trim_matches(['[', ']']))) {
        return Err(Problem::new(Kind::Malformed, "the Host header names no host of this server"));
    }
    let port = if port == 443 { String::new() } else { format!(":{port}") };
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    Ok(format!("https://{host}{port}{path}"))
}

/// The host of `host:port` or `[v6]:port`.
fn host_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port))
            if port.bytes().all(|b| b.is_ascii_digit()) && (!host.contains(':') || host.ends_with(']')) =>
        {
            host
        }
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_no_part_of_the_host() {
        for (authority, host) in [
            ("a.example", "a.example"),
            ("a.example:80", "a.example"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
            ("::1", "::1"),
            ("", ""),
        ] {
            assert_eq!(host_of(authority), host, "{authority}");
        }
    }
}
