use wardbook_events::{Outcome, Recorded};

use super::AuditFilter;
use crate::testing::{Log, at, correlation, patient, session, tenant, user, views};
use crate::{Stretch, Views};

/// Pages through everything, in pages of an odd size.
fn find(views: &Views, filter: &AuditFilter) -> Vec<u64> {
    let (mut all, mut before) = (Vec::new(), None);
    loop {
        let page = views.audit.find(filter, before, 7).unwrap();
        assert!(page.items.len() <= 7);
        all.extend(page.items);
        before = page.next;
        if before.is_none() {
            return all;
        }
    }
}

/// What the filter means, said slowly.
fn naive(events: &[Recorded], filter: &AuditFilter) -> Vec<u64> {
    let fits = |event: &&Recorded| {
        filter.tenant.is_none_or(|tenant| event.meta.tenant == tenant)
            && (filter.patients.is_empty()
                || event.subjects.iter().any(|(patient, _)| filter.patients.contains(patient)))
            && filter.actor.is_none_or(|actor| event.meta.actor.id == Some(actor))
            && filter.session.is_none_or(|session| event.client.session == Some(session))
            && (filter.types.is_empty() || filter.types.iter().any(|name| name == event.event.type_name()))
            && filter.outcome.is_none_or(|outcome| event.meta.outcome == outcome)
            && filter.correlation.is_none_or(|correlation| event.meta.correlation == correlation)
            && filter.since.is_none_or(|since| event.recorded_at >= since)
            && filter.until.is_none_or(|until| event.recorded_at < until)
    };
    events.iter().rev().filter(fits).map(|event| event.position).collect()
}

/// Two and a half blocks; every 1,000th position belongs to the ledger itself and is no event of ours.
fn long_log() -> Log {
    let mut log = Log::default();
    for number in 0..10_000_u64 {
        log.tenant = number / 20 % 2;
        log.actor = (number % 11 != 0).then(|| user(number % 11));
        log.session = (number % 3 != 0).then(|| session(number % 37));
        log.correlation = number / 3;
        log.outcome = (number % 50 == 7).then_some(Outcome::Denied);
        match number % 5 {
            0 => _ = log.denied(),
            1 => _ = log.open_chart(&[number % 101, number % 13]),
            _ => _ = log.open_chart(&[number % 101]),
        }
    }
    log.events.retain(|event| event.position % 1000 != 0 && !(4096..4700).contains(&event.position));
    log
}

#[test]
fn every_filter_finds_what_it_says_and_nothing_else() {
    let log = long_log();
    let (_dir, views) = views(&log);
    let none = AuditFilter::default;
    let filters = [
        none(),
        AuditFilter { patients: vec![patient(5)], ..none() },
        AuditFilter { patients: vec![patient(5), patient(6)], ..none() },
        AuditFilter { patients: vec![patient(5)], actor: Some(user(3)), ..none() },
        AuditFilter { actor: Some(user(3)), ..none() },
        AuditFilter { session: Some(session(4)), ..none() },
        AuditFilter { types: vec!["access.denied".into()], ..none() },
        AuditFilter {
            types: vec!["access.denied".into(), "access.chart-opened".into()],
            tenant: Some(tenant(1)),
            ..none()
        },
        AuditFilter { types: vec!["no.such-type".into()], ..none() },
        AuditFilter { outcome: Some(Outcome::Denied), tenant: Some(tenant(0)), ..none() },
        AuditFilter { correlation: Some(correlation(777)), ..none() },
        AuditFilter { correlation: Some(correlation(1)), tenant: Some(tenant(1)), ..none() },
        AuditFilter { since: Some(at(4090)), until: Some(at(4800)), ..none() },
        AuditFilter { since: Some(at(3000)), until: Some(at(3000)), ..none() },
        AuditFilter { since: Some(at(9990)), ..none() },
        AuditFilter { since: Some(at(99_990)), ..none() },
        AuditFilter { until: Some(at(-5)), ..none() },
        AuditFilter {
            patients: vec![patient(7)],
            since: Some(at(2000)),
            until: Some(at(9000)),
            outcome: Some(Outcome::Success),
            ..none()
        },
        AuditFilter { tenant: Some(tenant(9)), ..none() },
    ];
    for filter in filters {
        assert_eq!(find(&views, &filter), naive(&log.events, &filter), "{filter:?}");
    }
}

#[test]
fn a_page_says_whether_there_is_another() {
    let mut log = Log::default();
    (0..10).for_each(|_| _ = log.denied());
    let (_dir, views) = views(&log);
    let page = views.audit.find(&AuditFilter::default(), None, 10).unwrap();
    assert_eq!((page.items.len(), page.next), (10, None));
    let page = views.audit.find(&AuditFilter::default(), None, 4).unwrap();
    assert_eq!((page.items, page.next), (vec![9, 8, 7, 6], Some(6)));
}

#[test]
fn skipped_positions_move_the_view_on() {
    let log = long_log();
    let (_dir, views) = views(&log);
    let end = log.events.last().unwrap().position + 1;
    views.apply(Stretch::new(end, &[], end + 3)).unwrap();
    assert_eq!(views.audit.position().unwrap(), end + 3);
}
