//! What sealing costs, against raw AES-256-SIV on the same bytes in the same run; what a key costs that is not in memory; how many
//! keys are wrapped anew in a second:
//! `cargo run --release -p wardbook-keys --example keys_bench`
#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use aes_siv::aead::KeyInit;
use aes_siv::siv::Aes256Siv;
use wardbook_events::care_teams::Function;
use wardbook_events::{Field, PatientId, Purpose, Role, Sealed, TenantId, UserId};
use wardbook_keys::{Keys, KeysConfig, Matching, RootKey, SearchTerms, SearchValues};
use wardbook_ledger::{Draft, EventId, ExpectedVersion, Ledger, Payload, SubjectId};
use wardbook_policy::{Action, Ask, Member, PatientFacts, Policies, Principal};

const TENANT: TenantId = TenantId::from_bytes([1; 16]);
const STREAM: &str = "patient-0190a3c4-7d10-7cc2-b5c1-2f3e4d5a6b7c";

fn patient(number: u32) -> PatientId {
    let mut bytes = [7; 16];
    let [.., a, b, c, d] = &mut bytes;
    [*a, *b, *c, *d] = number.to_be_bytes();
    PatientId::from_bytes(bytes)
}

/// Runs for half a second; prints and returns calls per second.
fn measure(what: &str, mut call: impl FnMut() -> Result<(), Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
    let (begin, mut calls) = (Instant::now(), 0u32);
    while begin.elapsed() < Duration::from_millis(500) {
        for _ in 0..64 {
            call()?;
        }
        calls += 64;
    }
    let per_second = f64::from(calls) / begin.elapsed().as_secs_f64();
    println!("{what:<52} {per_second:>12.0} /s {:>9.2} us", 1e6 / per_second);
    Ok(per_second)
}

fn against_raw(bytes: usize) -> Result<(), Box<dyn Error>> {
    let keys = Keys::in_memory()?;
    keys.create_patient_key(TENANT, patient(0))?;
    let value = "x".repeat(bytes.saturating_sub(2));
    let (text, nonce) = (serde_json::to_vec(&value)?, [0u8; 16]);

    let mut cipher = Aes256Siv::new(&[5u8; 64].into());
    // Bound to as much as a sealed value is: purpose, organisation, patient, stream, field, form, version, nonce.
    let (id, field) = (patient(0), Field::Name.name().as_bytes());
    let headers: [&[u8]; 8] =
        [b"wardbook 2026 sealed field", TENANT.bytes(), id.bytes(), STREAM.as_bytes(), field, &[1], &[0; 4], &nonce];
    let failed = |_| "aes-siv failed";
    let sealed = cipher.encrypt(headers, &text).map_err(failed)?;
    let raw_seal = measure(&format!("raw aes-siv encrypt, {bytes} bytes"), || {
        black_box(cipher.encrypt(headers, black_box(&text)).map_err(failed)?);
        Ok(())
    })?;
    let raw_open = measure(&format!("raw aes-siv decrypt, {bytes} bytes"), || {
        black_box(cipher.decrypt(headers, black_box(&sealed)).map_err(failed)?);
        Ok(())
    })?;
    let seal = measure(&format!("seal, {bytes} bytes"), || {
        black_box(keys.seal(TENANT, patient(0), STREAM, Field::Name, black_box(&value))?);
        Ok(())
    })?;
    let (permit, receipt) = allowed()?;
    let sealed: Sealed<String> = keys.seal(TENANT, patient(0), STREAM, Field::Name, &value)?;
    let open = measure(&format!("open with permit and receipt, {bytes} bytes"), || {
        black_box(keys.open(&permit, &receipt, black_box(&sealed))?);
        Ok(())
    })?;
    println!("    of raw: seal {:.0}%, open {:.0}%", seal / raw_seal * 100.0, open / raw_open * 100.0);
    Ok(())
}

fn allowed() -> Result<(wardbook_policy::Permit, wardbook_ledger::Receipt), Box<dyn Error>> {
    let user = UserId::from_bytes([4; 16]);
    let doctor = Principal { mfa: 1, ..Principal::new(user, TENANT, [Role::Physician].into()) };
    let facts = PatientFacts {
        members: [(user, Member { function: Function::Attending, until: None })].into(),
        ..PatientFacts::new(patient(0), TENANT)
    };
    let event = wardbook_events::EventId::from_bytes([6; 16]);
    let ask = Ask::new(jiff::Timestamp::UNIX_EPOCH, Purpose::Treatment, event);
    let wanted = [Field::Name.group()].into_iter().collect();
    let permit = Policies::shipped()?.read(&doctor, &facts, None, &ask, wanted, Action::ReadChart)?;
    let draft = Draft {
        id: EventId::from_bytes(*event.bytes()),
        stream: "access-bench".parse()?,
        expected: ExpectedVersion::Any,
        event_type: "access.chart_opened".parse()?,
        schema_version: 1,
        subjects: vec![SubjectId::from_bytes(*patient(0).bytes())],
        payload: Payload::default(),
    };
    let mut receipts = Ledger::in_memory("wardbook.bench/keys")?.append_blocking(vec![draft])?;
    Ok((permit, receipts.pop().ok_or("no receipt")?))
}

fn many_patients(dir: &Path) -> Result<(), Box<dyn Error>> {
    const PATIENTS: u32 = 20_000;
    let root = RootKey::load_or_create(&dir.join("root.key"))?;
    let mut config = KeysConfig::new(dir.join("keys.sqlite"), root);
    config.cache.entries_max = 16;
    let keys = Keys::open_store(config)?;
    let begin = Instant::now();
    for first in (0..PATIENTS).step_by(1000) {
        let some: Vec<_> = (first..first + 1000).map(patient).collect();
        keys.create_patient_keys(TENANT, &some)?;
    }
    println!(
        "{PATIENTS} keys made, durable, 1000 at a time {:>17.0} /s",
        f64::from(PATIENTS) / begin.elapsed().as_secs_f64()
    );
    let begin = Instant::now();
    for number in 0..50 {
        keys.create_patient_key(TENANT, patient(PATIENTS + number))?;
    }
    println!("one key made, durable {:>52.2} ms", begin.elapsed().as_secs_f64() * 1e3 / 50.0);
    let hit = measure("seal, key cached", || {
        black_box(keys.seal(TENANT, patient(0), STREAM, Field::Name, &"Ada")?);
        Ok(())
    })?;
    let mut number = 0;
    let miss = measure("seal, key not cached (query and unwrap)", || {
        number = (number + 7919) % PATIENTS;
        black_box(keys.seal(TENANT, patient(number), STREAM, Field::Name, &"Ada")?);
        Ok(())
    })?;
    println!("    a key that is not in memory costs {:.1} us", 1e6 / miss - 1e6 / hit);
    rewrap(&keys)?;
    let name = serde_json::from_str(r#"{"family":"van der Müller","given":["Anna","Maria"]}"#)?;
    let values = SearchValues { name: Some(name), ..SearchValues::default() };
    measure("tokens of a patient's name", || {
        black_box(keys.tokens(TENANT, &values)?);
        Ok(())
    })?;
    let terms = SearchTerms { name: Some("anna müller".into()), matching: Matching::Sounds, ..SearchTerms::default() };
    measure("tokens of a search by sound", || {
        black_box(keys.search_tokens(TENANT, &terms)?);
        Ok(())
    })?;
    let begin = Instant::now();
    for number in 0..50 {
        keys.destroy_patient_key(TENANT, patient(number))?;
    }
    println!("one key destroyed, durable, journal wiped {:>32.2} ms", begin.elapsed().as_secs_f64() * 1e3 / 50.0);
    Ok(())
}

/// A new version of the organisation's key, and all patients' keys under it: batches as the server makes them.
fn rewrap(keys: &Keys) -> Result<(), Box<dyn Error>> {
    keys.rotate_tenant_key(TENANT)?;
    let left = keys.status(TENANT)?.to_rewrap();
    let (begin, mut longest) = (Instant::now(), Duration::ZERO);
    loop {
        let batch = Instant::now();
        if keys.rewrap_patient_keys(TENANT, 256)? == 0 {
            break;
        }
        longest = longest.max(batch.elapsed());
    }
    let seconds = begin.elapsed().as_secs_f64();
    let rate = f64::from(u32::try_from(left)?) / seconds;
    println!(
        "{left} keys wrapped anew, durable, 256 at a time {rate:>13.0} /s, the store held for {:.1} ms at most",
        longest.as_secs_f64() * 1e3
    );
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    for bytes in [32, 256, 1024] {
        against_raw(bytes)?;
    }
    let dir = tempfile::tempdir()?;
    many_patients(dir.path())
}
