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

#[test]
fn an_open_page_refreshes_itself_and_never_shows_an_old_value_as_current() {
    let dir = Dir::new("live");
    let world = World::demo(&dir, &[]);
    let script = root().join("tests/browser");
    let done = Command::new("node").arg("live.mjs").arg(world.url("")).arg(world.id().to_string()).current_dir(&script).output();
    let done = done.expect("node; tests/run installs it");
    assert!(done.status.success(), "{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
}
