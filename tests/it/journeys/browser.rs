//! Pages in a real browser: no console error, axe finds nothing, nothing runs off the side, within the byte budget.

use crate::support::{Dir, World, root};
use std::process::Command;

#[test]
fn pages_are_clean_in_chromium_on_desktop_and_phone() {
    let dir = Dir::new("browser");
    let world = World::demo(&dir, &[]);
    let script = root().join("tests/browser");
    let done = Command::new("node").arg("pages.mjs").arg(world.url("")).current_dir(&script).output().expect("node; tests/run installs it");
    eprintln!("{}", String::from_utf8_lossy(&done.stdout));
    assert!(done.status.success(), "{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
}
