// A permit of another event, patient or action cannot be made from the one that policy gave.
use wardbook_events::{EventId, PatientId};
use wardbook_policy::{Action, Permit};

fn forged(mut permit: Permit, event: EventId, patient: PatientId) -> Permit {
    permit.event = event;
    permit.patient = Some(patient);
    permit.action = Action::ReadChart;
    permit
}

fn main() {}
