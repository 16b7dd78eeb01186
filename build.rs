//! Tells the program when it was built: no clock that says an earlier time can be right.

use std::time::SystemTime;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=Cargo.lock");
    println!("cargo:rerun-if-env-changed=SOURCE_DATE_EPOCH");
    println!("cargo:rustc-env=PESCAIA_BUILT_S={}", built_s());
}

/// Since 1970; of a build that is to be the same everywhere, what its maker says.
#[expect(clippy::disallowed_methods, reason = "a build has no other clock")]
fn built_s() -> u64 {
    let said = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|text| text.parse().ok());
    said.unwrap_or_else(|| SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs()))
}
