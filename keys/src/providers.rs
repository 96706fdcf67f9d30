//! Where a root key may live. Each provider is a file here, behind the feature of its name; a local file is always there.

pub mod file;
