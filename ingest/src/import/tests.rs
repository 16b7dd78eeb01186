use super::*;
use crate::fixture::Fixed;
use model::{Interval, Scope, Viewer};
use std::io::Cursor;
use std::sync::Arc;

mod shapes;

const NETWORK: &str = r#"
[[owner]]
id = "o"
name = "O"
[[station]]
id = "s"
owner = "o"
name = "S"
where = [43.9, 11.1]
[[datastream]]
id = "level"
station = "s"
property = "water_level"
period_s = 3600
[[datastream]]
id = "rain"
station = "s"
property = "rain_increment"
period_s = 3600
"#;

fn store() -> Store {
    let store = Store::in_memory(Arc::new(Fixed)).expect("a store");
    store.apply(&store::load_embedded("n.toml", NETWORK, &[]).expect("a network")).expect("applied");
    store
}

fn pattern(text: &str) -> Pattern {
    Pattern::parse("p.toml", text).unwrap_or_else(|complaints| panic!("{}", complaints[0]))
}

const NAIVE: &str = "separator = \";\"\ndecimal = \",\"\nmissing = [\"\", \"-999\"]\n[time]\ncolumn = \"ora\"\nformat = \"%d/%m/%Y %H:%M\"\n\
                     zone = \"Europe/Rome\"\n[[value]]\ncolumn = \"livello\"\ndatastream = \"level\"\n";

/// The complaints, as a person sees them, and the levels that are in the store then.
fn check(pattern_text: &str, file: &str, complaints: &[&str], levels: &[(&str, f64)]) -> Report {
    let store = store();
    let mut said = Vec::new();
    let mut tell = |told: Told<'_>| {
        if let Told::Refused { complaints, .. } = told {
            said.extend(complaints.iter().map(ToString::to_string));
        }
    };
    let report = match Pattern::parse("p.toml", pattern_text)
        .and_then(|pattern| import(&store, Cursor::new(file), "f.csv", &pattern, Mode::Write, &mut tell))
    {
        Ok(report) => report,
        Err(found) => {
            said.extend(found.iter().map(ToString::to_string));
            Report::default()
        }
    };
    assert_eq!(said.len(), complaints.len(), "{said:#?}");
    for (said, expected) in said.iter().zip(complaints) {
        assert!(said.contains(expected), "{said:?} does not say {expected:?}");
    }
    let view = store.seen_by(&Viewer::Token { owner: "o".into(), scopes: vec![Scope::Read] });
    let kept = view.observations(&view.datastream("level").expect("level"), Interval::ALL, 99).expect("read");
    let kept: Vec<_> = kept.iter().map(|kept| (kept.phenomenon_time.to_string(), kept.result)).collect();
    assert_eq!(kept, levels.iter().map(|(at, value)| ((*at).to_owned(), *value)).collect::<Vec<_>>());
    report
}

#[test]
fn decimal_commas_sentinels_and_blanks_are_read_as_declared() {
    let file = "stazione;ora;livello\nA;01/02/2014 00:00;1,25\nA;01/02/2014 01:00;\nA;01/02/2014 02:00;-999,0\nA;01/02/2014 03:00;-0,5\n";
    let report = check(NAIVE, file, &[], &[("2014-01-31T23:00:00Z", 1.25), ("2014-02-01T02:00:00Z", -0.5)]);
    assert_eq!((report.rows, report.accepted, report.columns[0].missing, report.refused), (4, 2, 2, 0));
}

#[test]
fn a_bad_row_is_named_and_the_rest_goes_on() {
    let file = "ora;livello\n01/02/2014 00:00;1,25\n01/02/2014 01:00\n32/02/2014 01:00;1\n01/02/2014 02:00;1.5\n01/02/2014 03:00;molto\n01/01/1799 00:00;1\n\
                01/02/2014 04:00;2\n";
    let complaints = [
        "f.csv:3:1  1 cells where the header has 2; is the row cut off?",
        "f.csv:4:1  \"32/02/2014 01:00\" is not a time as \"%d/%m/%Y %H:%M\" says",
        "f.csv:5:2  \"1.5\" has a \".\" where the pattern's decimal sign is \",\"",
        "f.csv:6:2  \"molto\" is no number",
        "f.csv:7:1  1798-12-31T23:10:04Z lies before 1850",
    ];
    let report = check(NAIVE, file, &complaints, &[("2014-01-31T23:00:00Z", 1.25), ("2014-02-01T03:00:00Z", 2.0)]);
    assert_eq!((report.rows, report.refused), (7, 5));
}

#[test]
fn the_hour_that_does_not_exist_and_the_one_that_exists_twice() {
    let spring = "ora;livello\n30/03/2014 01:00;1\n30/03/2014 02:30;2\n30/03/2014 03:00;3\n";
    check(
        NAIVE,
        spring,
        &["f.csv:3:1  2014-03-30T02:30:00 did not happen in Europe/Rome"],
        &[("2014-03-30T00:00:00Z", 1.0), ("2014-03-30T01:00:00Z", 3.0)],
    );
    let autumn = "ora;livello\n26/10/2014 01:00;1\n26/10/2014 02:00;2\n26/10/2014 02:30;3\n26/10/2014 02:00;4\n26/10/2014 02:30;5\n26/10/2014 03:00;6\n";
    let both = [
        ("2014-10-25T23:00:00Z", 1.0),
        ("2014-10-26T00:00:00Z", 2.0),
        ("2014-10-26T00:30:00Z", 3.0),
        ("2014-10-26T01:00:00Z", 4.0),
        ("2014-10-26T01:30:00Z", 5.0),
        ("2014-10-26T02:00:00Z", 6.0),
    ];
    check(NAIVE, autumn, &[], &both);
    let once = "ora;livello\n26/10/2014 01:00;1\n26/10/2014 02:00;2\n26/10/2014 03:00;6\n";
    let known = [both[0], both[5]];
    check(NAIVE, once, &["f.csv:3:1  2014-10-26T02:00:00 happened twice and the file has it once; write repeated_hour"], &known);
    check(
        &NAIVE.replace("[[value]]", "repeated_hour = \"second\"\n[[value]]"),
        once,
        &[],
        &[both[0], ("2014-10-26T01:00:00Z", 2.0), both[5]],
    );
    // Solar time all year has neither.
    let solar = NAIVE.replace("Europe/Rome", "+01:00");
    check(&solar, once, &[], &[("2014-10-26T00:00:00Z", 1.0), ("2014-10-26T01:00:00Z", 2.0), ("2014-10-26T02:00:00Z", 6.0)]);
}

#[test]
fn another_separator_an_unknown_column_datastream_and_zone_are_named_with_the_cure() {
    let file = "ora;livello\n01/02/2014 00:00;1\n";
    check(&NAIVE.replace("\";\"", "\"\\t\""), file, &["separator = ';'"], &[]);
    check(
        &NAIVE.replace("\"livello\"", "\"livelo\""),
        file,
        &["p.toml:9:10  f.csv has no column \"livelo\"; did you mean \"livello\"?"],
        &[],
    );
    check(&NAIVE.replace("\"level\"", "\"leve\""), file, &["there is no datastream \"leve\"; did you mean \"level\"?"], &[]);
    check(&NAIVE.replace("zone = \"Europe/Rome\"\n", ""), file, &["a time without an offset says nothing until [time] zone does"], &[]);
    check(&NAIVE.replace("Europe/Rome", "Europa/Roma"), file, &["p.toml:7:8  there is no zone \"Europa/Roma\""], &[]);
    check(&NAIVE.replace("separator = \";\"", "separator = \",\"\nquote = false"), file, &["decimal and separator are both"], &[]);
    check(&NAIVE.replace("separator = \";\"", "separator = \",\""), file, &["write separator = ';'"], &[]);
    let quoted = "ora,livello\n01/02/2014 00:00,\"1,25\"\n01/02/2014 01:00,1,5\n";
    let both = NAIVE.replace("separator = \";\"", "separator = \",\"");
    check(&both, quoted, &["f.csv:3:1  3 cells where the header has 2; is there a decimal comma"], &[("2014-01-31T23:00:00Z", 1.25)]);
    check(&NAIVE.replace("missing", "mising"), file, &["p.toml:3:1  unknown key \"mising\", did you mean \"missing\"?"], &[]);
    check(NAIVE, "", &["f.csv  the file is empty"], &[]);
    check(NAIVE, "PK\u{3}\u{4}\u{14}\u{0}", &["f.csv:1:1  its first line is no text"], &[]);
    let too_many = "ora;livello\n01/02/2014 00:00;1;7\n";
    check(NAIVE, too_many, &["f.csv:2:1  3 cells where the header has 2; is there a decimal comma"], &[]);
}

#[test]
fn a_dry_run_understands_everything_and_writes_nothing_and_twice_the_same_changes_nothing() {
    let store = store();
    let file = "ora;livello\n01/02/2014 00:00;1,25\n01/02/2014 01:00;1,5\n";
    let run = |mode| import(&store, Cursor::new(file), "f.csv", &pattern(NAIVE), mode, &mut |_| ()).expect("imported");
    let dry = run(Mode::DryRun);
    assert_eq!((dry.accepted, dry.columns[0].values, store.health().observations), (0, 2, 0));
    assert_eq!(dry.columns[0].last.map(|(_, value)| value), Some(1.5));
    assert_eq!((run(Mode::Write).accepted, run(Mode::Write).duplicates), (2, 2));
}
