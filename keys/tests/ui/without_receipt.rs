use wardbook_events::Sealed;
use wardbook_keys::Keys;
use wardbook_policy::Permit;

fn name(keys: &Keys, permit: &Permit, name: &Sealed<String>) -> String {
    keys.open(permit, name).unwrap()
}

fn main() {}
