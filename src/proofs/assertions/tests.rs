use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;

struct Program {
    user: UserId,
    key: EncodingKey,
    jwk: Value,
}

fn program(id: u128) -> Program {
    let pair = Ed25519KeyPair::generate().unwrap();
    let pkcs8: aws_lc_rs::encoding::Pkcs8V1Der = pair.as_der().unwrap();
    let x = URL_SAFE_NO_PAD.encode(pair.public_key());
    Program {
        user: UserId::new(Uuid::from_u128(id)),
        key: EncodingKey::from_ed_der(pkcs8.as_ref()),
        jwk: json!({"kty": "OKP", "crv": "Ed25519", "x": x}),
    }
}

fn now() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

impl Program {
    fn claims(&self) -> Value {
        let id = self.user.to_string();
        json!({"iss": id, "sub": id, "aud": "wardbook", "exp": now().as_second() + 60, "jti": "a-first-one"})
    }
    fn sign(&self, claims: &Value) -> String {
        jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), claims, &self.key).unwrap()
    }
    fn check(&self, assertion: &str) -> Result<SessionId, AssertionError> {
        verify(assertion, self.user, &public_key(&self.jwk).unwrap(), &["wardbook", "https://x/v1/auth/token"], now())
    }
    fn with(&self, name: &str, value: Value) -> Result<SessionId, AssertionError> {
        let mut claims = self.claims();
        claims[name] = value;
        self.check(&self.sign(&claims))
    }
}

#[test]
fn one_assertion_is_one_session() {
    let program = program(1);
    let assertion = program.sign(&program.claims());
    assert_eq!(claimed_user(&assertion), Some(program.user));
    let session = program.check(&assertion).unwrap();
    assert_eq!(program.check(&assertion).unwrap(), session, "the write side sees that it was there");
    assert_eq!(program.with("exp", (now().as_second() + 61).into()).unwrap(), session, "whatever else it says");
    assert_ne!(program.with("jti", "another-one".into()).unwrap(), session);
    assert!(program.with("aud", json!(["elsewhere", "https://x/v1/auth/token"])).is_ok());
}

#[test]
fn what_is_not_for_us_now_from_it_proves_nothing() {
    use AssertionError::{Invalid, Time};
    let (program, other) = (program(1), program(2));
    let seconds = now().as_second();
    for (name, value, why) in [
        ("aud", json!("elsewhere"), Invalid),
        ("aud", Value::Null, Invalid),
        ("iss", json!(other.user), Invalid),
        ("sub", json!(other.user), Invalid),
        ("jti", json!("short"), Invalid),
        ("jti", json!("x".repeat(129)), Invalid),
        ("exp", json!(seconds - 31), Time),
        ("exp", json!(seconds + 331), Time),
        ("nbf", json!(seconds + 31), Time),
        ("iat", json!(seconds + 31), Time),
    ] {
        assert_eq!(program.with(name, value.clone()), Err(why), "{name} {value}");
    }
    assert_eq!(program.check(&other.sign(&program.claims())), Err(Invalid), "another program's key");
    let unsigned = format!(
        "{}.{}.",
        URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#),
        URL_SAFE_NO_PAD.encode(program.claims().to_string())
    );
    assert_eq!(program.check(&unsigned), Err(Invalid));
    // The public key taken for a shared secret (RFC 8725 section 2.1).
    let public = EncodingKey::from_secret(program.jwk.to_string().as_bytes());
    let confused = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &program.claims(), &public).unwrap();
    assert_eq!(program.check(&confused), Err(Invalid));
    for garbage in ["", ".", "..", "a.b.c", &"x".repeat(9000)] {
        assert_eq!(claimed_user(garbage), None);
        assert_eq!(program.check(garbage), Err(Invalid));
    }
}

#[test]
fn keys_are_public_and_strong() {
    let good = program(1).jwk;
    assert!(public_key(&good).is_ok());
    let with = |name: &str, value: Value| {
        let mut jwk = good.clone();
        jwk[name] = value;
        public_key(&jwk)
    };
    assert_eq!(with("d", "x".into()), Err(KeyError::Private));
    assert_eq!(with("alg", "RS256".into()), Err(KeyError::Unknown));
    assert_eq!(with("crv", "P-256".into()), Err(KeyError::Unknown));
    assert_eq!(public_key(&json!({"kty": "oct", "k": "c2VjcmV0"})), Err(KeyError::Private));
    assert_eq!(public_key(&json!({"kty": "RSA", "n": "x".repeat(171), "e": "AQAB"})), Err(KeyError::Unknown));
    assert_eq!(public_key(&json!("text")), Err(KeyError::Unknown));
}
