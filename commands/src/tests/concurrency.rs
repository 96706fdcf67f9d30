use wardbook_events::identity::AccountKind;
use wardbook_events::records::{RecordEvent, stream};
use wardbook_events::{Event, Role};
use wardbook_ledger::Direction;
use wardbook_policy::{Action, Target};

use super::house::*;
use crate::identity::CreateUser;
use crate::{CommandError, Rejection};

const MANY: usize = 8;

/// Runs many at once on several threads and gives what they came to.
async fn at_once<T: Send + 'static, F: Future<Output = T> + Send + 'static>(make: impl Fn(usize) -> F) -> Vec<T> {
    let tasks: Vec<_> = (0..MANY).map(|n| tokio::spawn(make(n))).collect();
    let mut all = Vec::new();
    for task in tasks {
        all.push(task.await.unwrap());
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_registrations_with_one_ssn_exactly_one_wins() {
    let house = house();
    let results = at_once(|n| {
        let house = house.clone();
        async move { house.register(someone(&format!("Family{n}"), "1980-02-03", Some("123-45-6789"))).await }
    })
    .await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
    for error in results.into_iter().filter_map(Result::err) {
        assert!(matches!(error, CommandError::Rejected(Rejection::Duplicate)), "{error:?}");
    }
    assert_eq!(house.count("patients.registered"), 1, "a loser left nothing behind");
    assert_eq!(house.count("patients.token-claimed"), 3, "ssn, mrn, name and birth date of the winner");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_users_with_one_name_exactly_one_wins() {
    let house = house();
    let results = at_once(|_| {
        let house = house.clone();
        async move {
            let permit = house.may(ADMIN, Action::ManageUsers, Target::Tenant).unwrap();
            let command = CreateUser {
                kind: AccountKind::Person,
                username: "joy".into(),
                roles: [Role::Nurse].into(),
                departments: vec![],
                patient: None,
                password: None,
            };
            house.commands.create_user(&permit, &ADMIN.origin(), command).await
        }
    })
    .await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    for error in results.into_iter().filter_map(Result::err) {
        assert!(matches!(error, CommandError::Rejected(Rejection::UsernameTaken)), "{error:?}");
    }
    assert_eq!(house.count("identity.user-created"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_amendment_is_lost() {
    let house = house();
    let patient = house.register(someone("Okafor", "1980-02-03", None)).await.unwrap().value;
    let record = house.add_note(patient, "first").await;
    at_once(|n| {
        let house = house.clone();
        async move {
            loop {
                let permit = house.on_record(Action::AmendRecord, patient, record);
                let (origin, text) = (PHYSICIAN.origin(), body(&format!("by {n}")));
                match house.commands.amend_record(&permit, &origin, (patient, record), None, text).await {
                    Err(CommandError::Contended) => {}
                    result => break result.unwrap(),
                }
            }
        }
    })
    .await;
    let entries = house.ledger.stream(&stream(record).parse().unwrap(), 1, Direction::Forward, 100).unwrap();
    assert_eq!(entries.len(), 1 + MANY);
    let mut last = None;
    for entry in entries {
        let event = Event::decode(entry.event_type().as_str(), entry.schema_version(), entry.body()).unwrap();
        match event {
            Event::Record(RecordEvent::Added(e)) => last = Some(e.body),
            Event::Record(RecordEvent::Amended(e)) => {
                assert_eq!(last.replace(e.new), Some(e.old), "each amends what was there")
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_who_saw_the_same_version_exactly_one_amends() {
    let house = house();
    let patient = house.register(someone("Okafor", "1980-02-03", None)).await.unwrap().value;
    let record = house.add_note(patient, "first").await;
    let results = at_once(|n| {
        let house = house.clone();
        async move {
            let permit = house.on_record(Action::AmendRecord, patient, record);
            house
                .commands
                .amend_record(&permit, &PHYSICIAN.origin(), (patient, record), Some(1), body(&format!("by {n}")))
                .await
        }
    })
    .await;
    assert_eq!(results.iter().filter(|result| result.as_ref().is_ok_and(|done| done.stream_version == 2)).count(), 1);
    for error in results.into_iter().filter_map(Result::err) {
        assert!(matches!(error, CommandError::WrongVersion { expected: 1, actual: 2 }), "{error:?}");
    }
}
