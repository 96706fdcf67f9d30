// A receipt of another event cannot be made from the one that the ledger gave.
use wardbook_ledger::{EventId, Receipt, SubjectId};

fn forged(mut receipt: Receipt, event: EventId, subject: SubjectId) -> Receipt {
    receipt.event_id = event;
    receipt.subjects = vec![(subject, 1)];
    receipt
}

fn main() {}
