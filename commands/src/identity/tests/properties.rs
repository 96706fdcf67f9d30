//! What no sequence of commands can bring about.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use wardbook_events::identity::{IdentityEvent, SessionLocked, StrangersCounted};

use super::*;
use crate::identity::accounts::{self, Username};
use crate::identity::sessions::{self, SessionState, Which};

#[derive(Debug, Clone)]
enum Deed {
    LogIn { session: u128, proofs: Vec<Proof>, known_device: bool },
    Fail { factor: Factor, known_device: bool },
    StepUp { session: u128, proof: Proof },
    Refresh { session: u128, old: u128, new: u128 },
    Lock { session: u128 },
    Unlock { session: u128, proof: Proof },
    End { session: u128 },
    Send { challenge: u128 },
    Toggle,
    Wait(i64),
}

fn a_proof() -> impl Strategy<Value = Proof> {
    prop_oneof![
        Just(Proof::Password),
        (0..6_u64).prop_map(|step| Proof::Totp { step }),
        (1..3_u128, 0..5_u32).prop_map(|(n, counter)| Proof::Passkey {
            passkey: passkey(n),
            counter,
            user_verified: true
        }),
        (0..4_u8).prop_map(|index| Proof::RecoveryCode { index }),
        (0..4_u128).prop_map(|n| Proof::EmailCode { challenge: challenge(n) }),
    ]
}
fn a_deed() -> impl Strategy<Value = Deed> {
    let proofs = || prop::collection::vec(a_proof(), 0..4);
    let factor = prop_oneof![Just(Factor::Password), Just(Factor::EmailCode)];
    prop_oneof![
        5 => (0..8_u128, proofs(), any::<bool>())
            .prop_map(|(session, proofs, known_device)| Deed::LogIn { session, proofs, known_device }),
        2 => (factor, any::<bool>()).prop_map(|(factor, known_device)| Deed::Fail { factor, known_device }),
        2 => (0..8_u128, a_proof()).prop_map(|(session, proof)| Deed::StepUp { session, proof }),
        2 => (0..8_u128, 0..6_u128, 0..6_u128).prop_map(|(session, old, new)| Deed::Refresh { session, old, new }),
        1 => (0..8_u128).prop_map(|session| Deed::Lock { session }),
        1 => (0..8_u128, a_proof()).prop_map(|(session, proof)| Deed::Unlock { session, proof }),
        1 => (0..8_u128).prop_map(|session| Deed::End { session }),
        1 => (0..4_u128).prop_map(|challenge| Deed::Send { challenge }),
        1 => Just(Deed::Toggle),
        1 => (0..40_i64).prop_map(Deed::Wait),
    ]
}

/// A user and its sessions, to whom commands happen.
struct World {
    user: State,
    sessions: BTreeMap<u128, SessionState>,
    minute: i64,
    /// Proofs that were accepted and must not be again.
    used: BTreeSet<String>,
    failures: usize,
}

impl World {
    fn new() -> Self {
        let events = [
            created(NURSE),
            totp(),
            passkey_enrolled(1),
            passkey_enrolled(2),
            recovery(3),
            contact(Some("a@b"), None),
            channel(Channel::Email),
        ];
        let user = State::after(&events);
        Self { user, sessions: BTreeMap::new(), minute: 0, used: BTreeSet::new(), failures: 0 }
    }

    fn decide(&self, step: &Deed) -> Result<Vec<Event>, Rejection> {
        let (was, context) = (self.user.within(tenant())?, at(self.minute));
        let life = |n: &u128| self.sessions.get(n).cloned().unwrap_or_default();
        let about = |n: &u128| (user(2), session(*n));
        match step {
            Deed::LogIn { session: n, proofs, known_device } => {
                let expires_at = context.now + SignedDuration::from_mins(60);
                let begin = Begin { expires_at, known_device: *known_device, ..begin(*n, proofs) };
                logins::log_in(was, user(2), begin, RULES, &context)
            }
            Deed::Fail { factor, known_device } => logins::fail(was, user(2), *factor, *known_device, RULES, &context),
            Deed::StepUp { session: n, proof } => logins::step_up(was, user(2), session(*n), proof.clone(), &context),
            Deed::Refresh { session: n, old, new } => {
                let (old, new) = (hash(n + 100 * old), hash(n + 100 * new));
                sessions::refresh(was, &life(n), about(n), (&old, new), &context)
            }
            Deed::Lock { session: n } => sessions::lock(was, &life(n), about(n), &context),
            Deed::Unlock { session: n, proof } => sessions::unlock(was, &life(n), about(n), proof.clone(), &context),
            Deed::End { session: n } => {
                let which = Which::These(ids(&[*n]));
                Ok(sessions::ended(was, user(2), &which, EndReason::User, &context).into_iter().collect())
            }
            Deed::Send { challenge: n } => {
                let sent =
                    CodeSent { expires_at: context.now + SignedDuration::from_mins(5), ..code(*n, Channel::Email) };
                super::super::factors::send_code(was, sent, &context)
            }
            Deed::Toggle if was.enabled => Ok(accounts::disable(was, user(2))),
            Deed::Toggle => Ok(accounts::enable(was, user(2))),
            Deed::Wait(_) => Ok(Vec::new()),
        }
    }

    fn take(&mut self, event: &Event) {
        let now = minutes(self.minute);
        let Event::Identity(what) = event else { panic!() };
        let stream = crate::route(event, tenant()).stream;
        if stream == wardbook_events::identity::stream(user(2)) {
            self.user = std::mem::take(&mut self.user).evolve_at(event, now);
        }
        for n in 0..8 {
            if stream == wardbook_events::identity::session_stream(session(n)) {
                let life = self.sessions.entry(n).or_default();
                *life = std::mem::take(life).evolve_at(event, now);
            }
        }
        match what {
            IdentityEvent::LoggedIn(e) => e.proofs.iter().for_each(|proof| self.accepted(proof)),
            IdentityEvent::SteppedUp(e) => self.accepted(&e.proof),
            IdentityEvent::LoginFailed(_) => self.failures += 1,
            // A new code of the same challenge is another one.
            IdentityEvent::CodeSent(e) => {
                self.used.remove(&format!("{:?}", Proof::EmailCode { challenge: e.challenge }));
            }
            _ => {}
        }
    }

    fn accepted(&mut self, proof: &Proof) {
        let may_repeat = matches!(proof, Proof::Password | Proof::Passkey { counter: 0, .. });
        if !may_repeat {
            assert!(self.used.insert(format!("{proof:?}")), "{proof:?} was accepted twice");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_sequence_gives_too_many_sessions_or_takes_a_proof_twice(steps in prop::collection::vec(a_deed(), 0..60)) {
        let mut world = World::new();
        let (mut began, mut waited) = (BTreeSet::new(), 0);
        for step in &steps {
            if let Deed::Wait(minutes) = step {
                world.minute += minutes;
                waited += minutes;
            }
            let before = world.user.clone();
            let events = world.decide(step).unwrap_or_default();
            for event in &events {
                if let Event::Identity(IdentityEvent::LoggedIn(e)) = event {
                    prop_assert!(began.insert(e.session), "a session began twice");
                    let User { enabled, failures, .. } = before.within(tenant()).unwrap();
                    let Deed::LogIn { known_device, .. } = step else { panic!() };
                    prop_assert!(*enabled && failures.locked(*known_device, minutes(world.minute)).is_none());
                }
                world.take(event);
            }
            let was = world.user.within(tenant()).unwrap();
            let live = was.live_ones(&at(world.minute)).count();
            prop_assert!(live <= usize::from(RULES.sessions_max));
            prop_assert!(was.enabled || live == 0);
        }
        // At most nine tries of each kind of device between two locks or successes; a lock lasts half an hour.
        let successes = began.len() + steps.iter().filter(|step| matches!(step, Deed::StepUp { .. })).count();
        prop_assert!(world.failures <= 5 * 2 * (1 + waited as usize / 30 + successes) + waited as usize);
    }

    #[test]
    fn any_order_of_events_has_a_state(picks in prop::collection::vec(0_usize..22, 0..40)) {
        let all = [
            created(NURSE), claimed(), password(), granted(Role::Admin), revoked(Role::Nurse), disabled(), enabled(),
            logged_in(1, TONIGHT), logged_in(2, "+009999-12-30T22:00:00.9Z"), logged_out(1),
            StrangersCounted { minute: NOW.parse().unwrap(), tries: 3 }.into(),
            failed(Factor::EmailCode, true), locked(minutes(5), false), unlocked(), totp(), recovery(3),
            passkey_enrolled(1), contact(Some("a"), None), code(1, Channel::Email).into(), removed(Removed::All),
            stepped_up(1, Proof::RecoveryCode { index: 200 }),
            SessionLocked { user: user(2), session: session(1) }.into(),
        ];
        let state = State::after(picks.iter().map(|pick| &all[*pick]));
        prop_assert_eq!(state != State::Unknown, picks.contains(&0));
        let _ = Username::after(picks.iter().map(|pick| &all[*pick]));
        let _ = SessionState::after(picks.iter().map(|pick| &all[*pick]));
    }
}
