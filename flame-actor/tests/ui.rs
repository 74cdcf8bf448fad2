//! Misuse of the attributes does not compile, and the error says what to do.

/// The expected errors are beside the cases; `TRYBUILD=overwrite` writes them anew.
#[test]
fn misuse_is_explained() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
