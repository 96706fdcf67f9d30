// A permit or a receipt that could be read from text could be written by anyone.
use wardbook_ledger::Receipt;
use wardbook_policy::Permit;

fn permit(text: &str) -> Permit {
    serde_json::from_str(text).unwrap()
}

fn receipt(text: &str) -> Receipt {
    serde_json::from_str(text).unwrap()
}

fn default() -> (Permit, Receipt) {
    (Permit::default(), Receipt::default())
}

fn main() {}
