use wardbook_events::Sealed;
use wardbook_keys::Keys;
use wardbook_ledger::Receipt;

fn name(keys: &Keys, receipt: &Receipt, name: &Sealed<String>) -> String {
    keys.open(receipt, name).unwrap()
}

fn main() {}
