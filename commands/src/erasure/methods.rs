//! How the commands are carried out.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;
use wardbook_events::erasure::{Basis, Destroyed, HoldKind, RefusalReason, Scope, stream};
use wardbook_events::identity::ContactSet;
use wardbook_events::{ErasureId, Event, GroupSet, HoldId, PatientId, Role, TenantId, UserId};
use wardbook_policy::{Action, Permit};

use super::{Command, Hold, Person, Retention, State, decide};
use crate::authority::{Authority, own_context};
use crate::context::Context;
use crate::error::CommandError;
use crate::executor::{Commands, Desk, Done, Task};
use crate::identity;
use crate::origin::Origin;

/// Something is to forbid the erasure of a patient.
#[derive(Debug, Clone, Serialize)]
pub struct PlaceHold {
    /// Of what kind.
    pub kind: HoldKind,
    /// What must stay.
    pub groups: GroupSet,
    /// Number of the case or order, 1 to 500 characters; never about the patient.
    pub reference: String,
    /// When it ends by itself.
    pub until: Option<Timestamp>,
}

/// Somebody asks for an erasure.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Asked {
    /// How much.
    pub scope: Scope,
    /// On what ground.
    pub basis: Basis,
    /// When it must have been answered.
    #[serde(skip)]
    pub due_at: Timestamp,
}

/// What an officer says to a request.
#[derive(Debug, Clone)]
pub enum Deciding {
    /// Agrees.
    Approve {
        /// Also if only a part may go now.
        in_part: bool,
        /// What the law asks to be kept.
        retention: Vec<Retention>,
    },
    /// Refuses.
    Refuse(RefusalReason),
}

/// What was found while an erasure was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Position of the event that began it.
    pub executed_at: u64,
    /// What was destroyed where.
    pub destroyed: Vec<Destroyed>,
    /// Size of the newest published checkpoint.
    pub log_size: u64,
    /// Its root hash, hex.
    pub log_root: String,
}

impl Commands {
    /// Forbids to erase a patient, under the id [`crate::Ids::hold`] of the origin. Permit: `ManageHolds`. Of several
    /// patients who were merged name the one who goes on, here and in all the others.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn place_hold(
        &self,
        permit: &Permit,
        origin: &Origin,
        patient: PatientId,
        place: PlaceHold,
    ) -> Result<Done<HoldId>, CommandError> {
        let context = Authority::new(permit, origin, |action| action == Action::ManageHolds)?.about(patient)?.context();
        let hold = origin.ids(context.tenant).hold();
        let bytes = origin.known_by("place-hold", &(patient, &place))?;
        let PlaceHold { kind, groups, reference, until } = place;
        let command = Command::PlaceHold { hold, kind, groups, reference, until };
        self.on_erasure(context, origin, patient, bytes, command, hold).await
    }

    /// Lifts a hold. Permit: `ManageHolds`.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn lift_hold(
        &self,
        permit: &Permit,
        origin: &Origin,
        patient: PatientId,
        hold: HoldId,
    ) -> Result<Done<HoldId>, CommandError> {
        let context = Authority::new(permit, origin, |action| action == Action::ManageHolds)?.about(patient)?.context();
        let bytes = origin.known_by("lift-hold", &(patient, hold))?;
        self.on_erasure(context, origin, patient, bytes, Command::LiftHold(hold), hold).await
    }

    /// Asks that a patient be erased, under the id [`crate::Ids::erasure`] of the origin. Permit: `RequestErasure`. An
    /// officer who asks has agreed as well; the patient has not.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn request_erasure(
        &self,
        permit: &Permit,
        origin: &Origin,
        patient: PatientId,
        asked: Asked,
    ) -> Result<Done<ErasureId>, CommandError> {
        let context =
            Authority::new(permit, origin, |action| action == Action::RequestErasure)?.about(patient)?.context();
        let erasure = origin.ids(context.tenant).erasure();
        let bytes = origin.known_by("request-erasure", &(patient, asked))?;
        let by_officer = matches!(origin.actor.role, Some(Role::ComplianceOfficer | Role::SecurityAdmin));
        let Asked { scope, basis, due_at } = asked;
        let command = Command::Request { erasure, scope, basis, due_at, by_officer };
        self.on_erasure(context, origin, patient, bytes, command, erasure).await
    }

    /// Agrees to a request or refuses it. Permit: `DecideErasure`. When the second officer agrees, the erasure begins in
    /// the same append: nothing opens the patient's chart any more, and what he had claimed is free.
    ///
    /// # Errors
    /// [`crate::Rejection::MustBeKept`] and [`crate::Rejection::OnlyInPart`] among others.
    pub async fn decide_erasure(
        &self,
        permit: &Permit,
        origin: &Origin,
        (patient, erasure): (PatientId, ErasureId),
        deciding: Deciding,
    ) -> Result<Done<ErasureId>, CommandError> {
        let context =
            Authority::new(permit, origin, |action| action == Action::DecideErasure)?.about(patient)?.context();
        let (name, command) = match deciding {
            Deciding::Approve { in_part, retention } => {
                (("approve-erasure", in_part, None), Command::Approve { erasure, in_part, retention })
            }
            Deciding::Refuse(reason) => (("refuse-erasure", false, Some(reason)), Command::Refuse { erasure, reason }),
        };
        let bytes = origin.known_by(name.0, &(patient, erasure, name.1, name.2))?;
        self.on_erasure(context, origin, patient, bytes, command, erasure).await
    }

    /// Says that an erasure was carried out; nothing happens if it was said before. Stated by Wardbook itself.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn certify_erasure(
        &self,
        tenant: TenantId,
        origin: &Origin,
        (patient, erasure): (PatientId, ErasureId),
        certificate: Certificate,
    ) -> Result<Done<ErasureId>, CommandError> {
        let command = Command::Certify { erasure, certificate };
        self.on_erasure(own_context(tenant, origin), origin, patient, Vec::new(), command, erasure).await
    }

    /// Ends what an account was for when its patient is erased: who was nothing but a patient logs in no more and has no
    /// address; who works here is a patient no more. Stated by Wardbook itself.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn forget_account(
        &self,
        tenant: TenantId,
        origin: &Origin,
        user: UserId,
    ) -> Result<Done<UserId>, CommandError> {
        let context = own_context(tenant, origin);
        let of = wardbook_events::identity::stream(user);
        self.run(Task::new(context, origin, of.clone(), Vec::new(), user), move |desk| {
            let state = desk.load::<identity::State>(&of)?;
            let was = state.within(context.tenant)?;
            if was.roles != BTreeSet::from([Role::Patient]) {
                return Ok(identity::accounts::revoke(was, user, Role::Patient, &context)?);
            }
            let mut events = identity::accounts::disable(was, user);
            if !events.is_empty() {
                events.push(ContactSet { user, email: None, phone: None }.into());
            }
            Ok(events)
        })
        .await
    }

    async fn on_erasure<T: Send + 'static>(
        &self,
        context: Context,
        origin: &Origin,
        patient: PatientId,
        bytes: Vec<u8>,
        command: Command,
        value: T,
    ) -> Result<Done<T>, CommandError> {
        self.run(Task::new(context, origin, stream(patient), bytes, value), move |desk| {
            erasing(desk, patient, command.clone(), &context)
        })
        .await
    }
}

fn erasing(
    desk: &mut Desk<'_>,
    patient: PatientId,
    command: Command,
    context: &Context,
) -> Result<Vec<Event>, CommandError> {
    let person = match command {
        // What asks nothing of the person can be said when he was merged, or is forgotten already.
        Command::LiftHold(_) | Command::Refuse { .. } | Command::Certify { .. } => Person::named(patient),
        _ => Person::load(desk, context.tenant, patient)?,
    };
    // A hold from before a merge holds up the one who goes on.
    let mut holds: Vec<(HoldId, Hold)> = Vec::new();
    for member in person.family() {
        let state = desk.load::<State>(&stream(member))?;
        holds.extend(state.live_holds(context.now).map(|(id, hold)| (id, *hold)));
    }
    Ok(decide(&*desk.load(&stream(patient))?, &person, &holds, command, context)?)
}
