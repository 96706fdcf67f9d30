//! Facts about the system itself. They rest on no state, so there is nothing to decide.

use wardbook_events::governance::{ImportFinished, ProjectionAttested, ProjectionRebuilt, ReplayRun};
use wardbook_events::{EventId, TenantId};
use wardbook_ledger::Receipt;
use wardbook_policy::{Action, Permit};

use crate::authority::{Authority, own_context};
use crate::error::CommandError;
use crate::executor::Commands;
use crate::origin::Origin;

impl Commands {
    /// Records the state root of a view. Wardbook itself does so, without a permit.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn attest_projection(
        &self,
        tenant: TenantId,
        origin: &Origin,
        id: EventId,
        attested: ProjectionAttested,
    ) -> Result<Receipt, CommandError> {
        self.append_one(attested.into(), id, &own_context(tenant, origin), origin).await
    }

    /// Records that a view was rebuilt and swapped. Permit: `ManageProjections`.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn record_rebuild(
        &self,
        permit: &Permit,
        origin: &Origin,
        rebuilt: ProjectionRebuilt,
    ) -> Result<Receipt, CommandError> {
        let context = Authority::new(permit, origin, |action| action == Action::ManageProjections)?.context();
        self.append_one(rebuilt.into(), permit.event(), &context, origin).await
    }

    /// Records the end of an import. Permit: `Import`.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn finish_import(
        &self,
        permit: &Permit,
        origin: &Origin,
        finished: ImportFinished,
    ) -> Result<Receipt, CommandError> {
        let context = Authority::new(permit, origin, |action| action == Action::Import)?.context();
        self.append_one(finished.into(), permit.event(), &context, origin).await
    }

    /// Records a forensic replay before anything of it is shown. Permit: `Replay`.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn record_replay(
        &self,
        permit: &Permit,
        origin: &Origin,
        run: ReplayRun,
    ) -> Result<Receipt, CommandError> {
        let context = Authority::new(permit, origin, |action| action == Action::Replay)?.context();
        self.append_one(run.into(), permit.event(), &context, origin).await
    }
}
