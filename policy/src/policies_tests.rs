use super::*;

#[test]
fn the_shipped_policies_are_beyond_doubt() {
    Policies::shipped().unwrap();
}

#[test]
fn memory_is_bounded() {
    let policies = Policies::remembering(SCHEMA, FILES, 2).unwrap();
    assert_eq!(policies.inner.cache.len(), 0);
}
