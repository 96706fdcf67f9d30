//! Where and when a user works, from where the user may log in, and where codes are sent.

use jiff::Timestamp;
use wardbook_events::identity::{Hours, stream};
use wardbook_events::values::{Email, Phone};
use wardbook_events::{Ciphertext, UserId};
use wardbook_policy::{Action, Permit};

use super::{CONTACT_PURPOSE, Found, managing, own_or};
use crate::error::CommandError;
use crate::executor::{Commands, Done};
use crate::identity::places;
use crate::origin::Origin;

impl Commands {
    /// Says in which departments and facilities a user works. Permit: `ManageUsers`.
    ///
    /// # Errors
    /// [`crate::Rejection::BadDepartment`] among others.
    pub async fn set_places(
        &self,
        permit: &Permit,
        origin: &Origin,
        user: UserId,
        departments: Vec<String>,
        facilities: Vec<String>,
    ) -> Result<Done<()>, CommandError> {
        let context = managing(permit, origin)?;
        let bytes = origin.known_by("set-places", &(user, &departments, &facilities))?;
        self.on_user(context, origin, user, bytes, move |found| {
            found.was()?;
            Ok(places::set_places(user, departments.clone(), facilities.clone())?)
        })
        .await
    }

    /// Says when a user is on shift, and until when on call. Permit: `ManageUsers`.
    ///
    /// # Errors
    /// [`crate::Rejection::BadHours`] among others.
    pub async fn set_hours(
        &self,
        permit: &Permit,
        origin: &Origin,
        user: UserId,
        shifts: Vec<Hours>,
        on_call_until: Option<Timestamp>,
    ) -> Result<Done<()>, CommandError> {
        let context = managing(permit, origin)?;
        let bytes = origin.known_by("set-hours", &(user, &shifts, on_call_until))?;
        self.on_user(context, origin, user, bytes, move |found| {
            found.was()?;
            Ok(places::set_hours(user, shifts.clone(), on_call_until)?)
        })
        .await
    }

    /// Says from which networks a user may log in (IAM-19); from anywhere if there are none. Permit: `ManageUsers`.
    ///
    /// # Errors
    /// [`crate::Rejection::BadNetwork`] among others.
    pub async fn set_networks(
        &self,
        permit: &Permit,
        origin: &Origin,
        user: UserId,
        networks: Vec<String>,
    ) -> Result<Done<()>, CommandError> {
        let context = managing(permit, origin)?;
        let bytes = origin.known_by("set-networks", &(user, &networks))?;
        self.on_user(context, origin, user, bytes, move |found| {
            found.was()?;
            Ok(places::set_networks(user, networks.clone())?)
        })
        .await
    }

    /// Says where a user is told of things and sent codes. An address that changes must be enrolled anew as a way of
    /// sending codes. Permit: `ManageUsers`, or `ChangeOwnCredentials` for oneself.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn set_contact(
        &self,
        permit: &Permit,
        origin: &Origin,
        user: UserId,
        email: Option<Email>,
        phone: Option<Phone>,
    ) -> Result<Done<()>, CommandError> {
        let (context, _) = own_or(permit, origin, user, Action::ManageUsers)?;
        let bytes = origin.known_by("set-contact", &(user, &email, &phone))?;
        self.on_user(context, origin, user, bytes, move |found| {
            let was = found.was()?;
            let new = (
                sealed(found, was.email.as_ref(), email.as_ref().map(Email::as_str))?,
                sealed(found, was.phone.as_ref(), phone.as_ref().map(Phone::as_str))?,
            );
            if new == (was.email.clone(), was.phone.clone()) {
                return Ok(Vec::new());
            }
            Ok(places::set_contact(user, new.0, new.1))
        })
        .await
    }
}

/// What does not change keeps its sealed form, by which it is seen that it did not change.
fn sealed(
    found: &Found<'_, '_>,
    was: Option<&Ciphertext>,
    text: Option<&str>,
) -> Result<Option<Ciphertext>, CommandError> {
    let Some(text) = text else { return Ok(None) };
    if let Some(was) = was {
        let stream = stream(found.user);
        let opened = found.desk.keys.open_secret(found.context.tenant, &stream, CONTACT_PURPOSE, was)?;
        if opened.as_slice() == text.as_bytes() {
            return Ok(Some(was.clone()));
        }
    }
    found.seal(CONTACT_PURPOSE, text.as_bytes()).map(Some)
}
