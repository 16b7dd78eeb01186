//! Pages in a real browser: no console error, axe finds nothing, nothing runs off the side, within the byte budget.

use crate::support::{Dir, World, one_gauge, root, token};
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

#[test]
fn pages_go_grey_by_themselves_when_the_link_or_the_data_are_old() {
    let dir = Dir::new("grey");
    let world = World::demo(&dir, &[]);
    let script = root().join("tests/browser");
    let done = Command::new("node").arg("grey.mjs").arg(world.url("")).arg(world.id().to_string()).current_dir(&script).output();
    // Whatever became of it, nothing may stay stopped.
    world.signal("CONT");
    let done = done.expect("node; tests/run installs it");
    eprintln!("{}", String::from_utf8_lossy(&done.stdout));
    assert!(done.status.success(), "{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
}

#[test]
fn the_opened_chart_fits_its_window_and_keeps_rain_bands_and_keys() {
    let dir = Dir::new("opened");
    let world = World::demo(&dir, &[]);
    let script = root().join("tests/browser");
    let done = Command::new("node").arg("opened.mjs").arg(world.url("")).current_dir(&script).output();
    let done = done.expect("node; tests/run installs it");
    eprintln!("{}", String::from_utf8_lossy(&done.stdout));
    assert!(done.status.success(), "{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
}

#[test]
fn what_is_committed_is_on_the_screen_at_once() {
    let dir = Dir::new("feed");
    let world = World::run(&dir, &one_gauge());
    let token = token(&dir, "demo", &["ingest"]);
    let script = root().join("tests/browser");
    let done = Command::new("node").arg("feed.mjs").arg(world.url("")).arg(token).current_dir(&script).output();
    let done = done.expect("node; tests/run installs it");
    eprintln!("{}", String::from_utf8_lossy(&done.stdout));
    assert!(done.status.success(), "{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
}

#[test]
fn a_name_that_would_be_markup_is_text_and_a_gauge_without_data_has_its_page() {
    let dir = Dir::new("inert");
    let evil = "[[station]]\nid = \"evil\"\nowner = \"demo\"\nname = \"<script>alert(1)</script>\"\nriver = \"<img src=x onerror=alert(2)>\"\nwhere = [43.9, 11.1]\n\
                [[datastream]]\nid = \"evil-level\"\nstation = \"evil\"\nproperty = \"water_level\"\nperiod_s = 60\nvisibility = \"public\"\n";
    let world = World::run(&dir, &(one_gauge() + evil));
    let script = root().join("tests/browser");
    let done = Command::new("node").arg("inert.mjs").arg(world.url("")).current_dir(&script).output().expect("node; tests/run installs it");
    assert!(done.status.success(), "{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
}
