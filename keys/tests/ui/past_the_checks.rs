// What opens without asking is nobody's but the crate's.
use wardbook_events::Sealed;
use wardbook_keys::Keys;

fn name(keys: &Keys, name: &Sealed<String>) -> String {
    keys.unseal(name).unwrap()
}

fn main() {}
