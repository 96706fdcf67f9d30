// Only the ledger makes a receipt of an entry, because only it knows that the entry was flushed.
use wardbook_ledger::{Entry, Receipt};

fn receipt(entry: &Entry) -> Receipt {
    Receipt::of(entry, false)
}

fn main() {}
