use wardbook_events::access::{Grounds, RecordsOpened, patient_stream};
use wardbook_events::alerts::{AlertAcknowledged, AlertDelivered, AlertKind, AlertRaised, Channel, Severity};
use wardbook_events::break_glass::{EmergencyEnded, EmergencyExtended, EmergencyReviewed, stream};
use wardbook_events::{AlertId, GroupSet, access, alerts};

use super::*;
use crate::alerts::AlertFilter;
use crate::testing::{Log, at, config, patient, record, tenant, user, uuid, views};
use crate::{Stretch, ViewName, Views};

fn emergency(number: u64) -> EmergencyId {
    EmergencyId::new(uuid(8, number))
}
fn alert(number: u64) -> AlertId {
    AlertId::new(uuid(9, number))
}

impl Log {
    fn start(&mut self, number: u64, who: u64, of: u64) -> u64 {
        let (patient, user) = (patient(of), user(who));
        let started = EmergencyStarted {
            emergency: emergency(number),
            patient,
            user,
            reason: EmergencyReason::Trauma,
            detail: None,
            location: Some("ED 1".into()),
            expires_at: at(1000 + number as i64),
            review_due_at: at(5000 + number as i64),
        };
        self.add(stream(patient), &[patient], started)
    }
    fn judge(&mut self, number: u64, of: u64, outcome: ReviewOutcome) -> u64 {
        let reviewed = EmergencyReviewed {
            emergency: emergency(number),
            patient: patient(of),
            reviewer: user(9),
            outcome,
            note: None,
        };
        self.add(stream(patient(of)), &[patient(of)], reviewed)
    }
    fn look(&mut self, of: u64, records: &[u64], emergency: Option<EmergencyId>) {
        let grounds = || Grounds { policies: vec![], policy_version: "0".into(), emergency, reason: None };
        let (patient, groups) = (patient(of), GroupSet::all());
        let opened = access::ChartOpened { patient, groups, grounds: grounds(), as_of: None };
        self.add(patient_stream(patient), &[patient], opened);
        let records = records.iter().map(|number| record(*number)).collect();
        let opened = RecordsOpened { patient, records, kind: None, groups, grounds: grounds() };
        self.add(patient_stream(patient), &[patient], opened);
    }
    fn raise(&mut self, number: u64, kind: AlertKind, severity: Severity) -> u64 {
        let cause = self.events.last().unwrap().id;
        let raised = AlertRaised { alert: alert(number), kind, severity, cause, user: Some(user(1)), patient: None };
        self.add(alerts::stream(alert(number)), &[], raised)
    }
}

fn ids(found: Vec<Emergency>) -> Vec<EmergencyId> {
    found.into_iter().map(|one| one.emergency).collect()
}

/// A bit of everything.
fn eventful() -> Log {
    let mut log = Log::default();
    log.register(1, vec![]);
    log.register(2, vec![]);
    log.start(1, 1, 1);
    log.look(1, &[5, 6], Some(emergency(1)));
    log.look(1, &[5], Some(emergency(1)));
    log.look(2, &[7], None);
    log.start(2, 2, 1);
    let longer = EmergencyExtended { emergency: emergency(1), patient: patient(1), expires_at: at(2000) };
    log.add(stream(patient(1)), &[patient(1)], longer);
    let over = EmergencyEnded { emergency: emergency(2), patient: patient(1) };
    log.add(stream(patient(1)), &[patient(1)], over);
    log.raise(1, AlertKind::BreakGlassStarted, Severity::High);
    log.raise(2, AlertKind::WatchedPatientOpened, Severity::Medium);
    let delivered = AlertDelivered { alert: alert(1), channel: Channel::Webhook };
    log.add(alerts::stream(alert(1)), &[], delivered);
    log.add(alerts::stream(alert(2)), &[], AlertAcknowledged { alert: alert(2), by: user(9) });
    log.judge(2, 1, ReviewOutcome::UnderInvestigation);
    log
}

#[test]
fn an_emergency_is_known_with_what_was_opened_in_it() {
    let (_dir, views) = views(&eventful());
    let one = views.break_glass.get(emergency(1)).unwrap().unwrap();
    assert_eq!((one.user, one.patient, one.tenant), (user(1), patient(1), tenant(0)));
    assert_eq!((one.until(), one.extended, one.location.as_deref()), (at(2000), true, Some("ED 1")));
    assert!(one.is_live(at(1999)) && !one.is_live(at(2000)));
    let touched = views.break_glass.touched(emergency(1), 10).unwrap();
    let mut wanted = vec![Touched::Patient(patient(1)), Touched::Record(record(5)), Touched::Record(record(6))];
    wanted.sort();
    assert_eq!(touched, wanted, "each once, and nothing of the other patient");
    assert_eq!(views.break_glass.touched(emergency(2), 10).unwrap(), []);
    let two = views.break_glass.get(emergency(2)).unwrap().unwrap();
    assert!(!two.is_live(two.ended_at.unwrap()) && two.ended_at.unwrap() < two.expires_at);
    assert_eq!(views.break_glass.get(emergency(3)).unwrap(), None);
}

#[test]
fn facts_have_the_live_emergency_of_each_user_and_time_ends_it() {
    let (_dir, views) = views(&eventful());
    let facts = views.patient_facts(patient(1)).unwrap().unwrap().facts.clone();
    assert_eq!(facts.emergency(user(1), at(1999)), Some(emergency(1)));
    assert_eq!(facts.emergency(user(1), at(2000)), None);
    assert_eq!(facts.emergency(user(2), at(20)), None, "ended by its owner");
    assert!(views.patient_facts(patient(2)).unwrap().unwrap().facts.emergencies.is_empty());
    assert_eq!(ids(views.break_glass.live_of(user(1), at(50)).unwrap()), [emergency(1)]);
    assert!(views.break_glass.live_of(user(1), at(2000)).unwrap().is_empty());
    assert!(views.break_glass.live_of(user(2), at(50)).unwrap().is_empty());
}

#[test]
fn an_emergency_is_about_the_person_whoever_was_merged() {
    let mut log = eventful();
    log.start(3, 3, 2);
    let (_dir, views) = views(&log);
    let emergencies =
        |of| views.patient_facts(patient(of)).unwrap().unwrap().facts.emergencies.keys().copied().collect::<Vec<_>>();
    assert_eq!(emergencies(2), [user(3)]);
    let before = log.events.len();
    log.merge(1, 2);
    views.apply(Stretch::of(&log.events[before..])).unwrap();
    let mut all = vec![user(1), user(2), user(3)];
    all.sort();
    assert_eq!((emergencies(1), emergencies(2)), (all.clone(), all));
    let facts = views.patient_facts(patient(2)).unwrap().unwrap().facts.clone();
    assert_eq!(facts.emergency(user(1), at(50)), Some(emergency(1)));
    let before = log.events.len();
    log.unmerge(1, 2);
    views.apply(Stretch::of(&log.events[before..])).unwrap();
    assert_eq!(emergencies(2), [user(3)]);
}

#[test]
fn the_queue_is_in_order_and_judged_ones_leave_it() {
    let mut log = eventful();
    for number in 3..8 {
        log.start(number, number, 2);
    }
    log.tenant = 1;
    log.start(9, 9, 2);
    log.judge(4, 2, ReviewOutcome::Appropriate);
    let (_dir, views) = views(&log);
    let due = |to| ids(views.break_glass.unjudged(at(0)..at(to), 10).unwrap());
    assert_eq!(due(5005), [1, 3].map(emergency));
    assert_eq!(due(6000), [1, 3, 5, 6, 7, 9].map(emergency));
    let begun = |before: Option<u64>, limit| {
        let always = |_: &Emergency| true;
        ids(views.break_glass.begun(tenant(0), at(0)..at(900), before.map(emergency), limit, always).unwrap())
    };
    assert_eq!(begun(None, 3), [7, 6, 5].map(emergency));
    assert_eq!(begun(Some(5), 9), [4, 3, 2, 1].map(emergency));
    let judged = |one: &Emergency| one.review.is_some();
    let found = views.break_glass.begun(tenant(0), at(0)..at(900), None, 9, judged).unwrap();
    assert_eq!(ids(found), [4, 2].map(emergency));
    let one = views.break_glass.get(emergency(1)).unwrap().unwrap();
    assert!(!one.is_overdue(at(5000)) && one.is_overdue(at(5001)));
    let two = views.break_glass.get(emergency(2)).unwrap().unwrap();
    assert!(!two.is_overdue(at(9999)), "it was judged in time");
}

#[test]
fn alerts_are_open_until_somebody_takes_note() {
    let mut log = eventful();
    log.raise(3, AlertKind::DecoyTouched, Severity::Critical);
    log.tenant = 1;
    log.raise(4, AlertKind::DecoyTouched, Severity::Critical);
    let (_dir, views) = views(&log);
    let list = |filter: AlertFilter| -> Vec<_> {
        let (mut all, mut before) = (Vec::new(), None);
        loop {
            let page = views.alerts.list(tenant(0), &filter, before, 1).unwrap();
            all.extend(page.items.iter().map(|one| one.alert));
            before = page.next;
            if before.is_none() {
                return all;
            }
        }
    };
    let filter = AlertFilter::default();
    assert_eq!(list(filter), [3, 2, 1].map(alert));
    assert_eq!(list(AlertFilter { acknowledged: Some(false), ..filter }), [3, 1].map(alert));
    assert_eq!(list(AlertFilter { acknowledged: Some(true), ..filter }), [alert(2)]);
    assert_eq!(list(AlertFilter { kind: Some(AlertKind::DecoyTouched), ..filter }), [alert(3)]);
    let first = views.alerts.get(alert(3)).unwrap().unwrap().raised_at;
    assert_eq!(list(AlertFilter { since: Some(first), ..filter }), [alert(3)]);
    let waiting =
        |from| -> Vec<_> { views.alerts.undelivered(from, 9).unwrap().into_iter().map(|one| one.alert).collect() };
    assert_eq!(waiting(0), [2, 3, 4].map(alert), "of all organisations, oldest first");
    let third = views.alerts.get(alert(3)).unwrap().unwrap().position;
    assert_eq!((waiting(third), waiting(third + 1)), (vec![alert(3), alert(4)], vec![alert(4)]));
}

#[test]
fn the_views_come_back_from_the_log_as_they_were() {
    let log = eventful();
    let (_dir, whole) = views(&log);
    let dir = tempfile::tempdir().unwrap();
    let parts = Views::open(&config(dir.path())).unwrap();
    for part in log.events.chunks(3) {
        parts.apply(Stretch::of(part)).unwrap();
    }
    for view in [ViewName::BreakGlass, ViewName::Alerts] {
        let standing = whole.standing(view).unwrap();
        assert!(standing.rows > 4, "{}", view.name());
        assert_eq!(standing.root, parts.standing(view).unwrap().root, "{}", view.name());
        let rebuild = whole.begin_rebuild(view, false).unwrap();
        rebuild.apply(log.all()).unwrap();
        assert!(whole.finish_rebuild(rebuild, |_, _| Ok(Vec::new())).unwrap().compared);
    }
}

/// Nearly every event is a look, and nearly no look is an emergency.
#[test]
fn looks_leave_no_rows() {
    let mut log = Log::default();
    for _ in 0..50 {
        log.look(1, &[1, 2, 3], None);
    }
    let (_dir, views) = views(&log);
    assert_eq!(views.standing(ViewName::BreakGlass).unwrap().rows, 0);
}
