//! Forgetting the permission or the audit entry does not compile, nor does making either up.

#[test]
fn plaintext_without_permit_or_receipt_does_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
