//! Shapes of files that people have met: each is a row of a table, with what is in the store then.

use super::*;

/// [`NAIVE`] at solar time all year, with lines of one's own before `[time]`.
fn solar(more: &str) -> String {
    NAIVE.replace("Europe/Rome", "+01:00").replace("[time]", &format!("{more}\n[time]"))
}

const ONE: (&str, f64) = ("2014-01-31T23:00:00Z", 1.25);
const TWO: (&str, f64) = ("2014-02-01T00:00:00Z", 1.26);

#[test]
fn rows_with_a_separator_too_many_or_a_last_cell_left_out_are_rows() {
    for file in [
        "ora;livello;batteria\n01/02/2014 00:00;1,25;12,6;\n01/02/2014 01:00;1,26;12,6;;;\n",
        "ora;livello;batteria\n01/02/2014 00:00;1,25\n01/02/2014 01:00;1,26;\n",
        "ora;livello;\n01/02/2014 00:00;1,25\n01/02/2014 01:00;1,26;\n",
        "\u{feff}sep=;\r\nora;livello\r\n01/02/2014 00:00;1,25\r\n01/02/2014 01:00;1,26\r\n\0\0\0",
        "ora;livello\r01/02/2014 00:00;1,25\r01/02/2014 01:00;1,26\r",
        "\"ora\";\"livello\"\n\"01/02/2014 00:00\";\"1,25\"\nora;livello\n;\n\u{feff}\"ora\";\"livello\"\n01/02/2014 01:00;1,26\n",
        "ora;\" livello\"\n01/02/2014 00:00;1,25\n01/02/2014 01:00;1,26",
    ] {
        check(&solar(""), file, &[], &[ONE, TWO]);
    }
    let report = check(&solar(""), "ora;livello\n01/02/2014 00:00;1,25\nora;livello\n;\n01/02/2014 01:00;1,26\n", &[], &[ONE, TWO]);
    assert_eq!((report.rows, report.refused), (2, 0));
    assert!(report.notes.iter().any(|note| note.starts_with("1 repeated headers")), "{:?}", report.notes);
    check(
        &solar(""),
        "ora;livello;note\n01/02/2014 00:00;1,25;\n01/02/2014 01:00;1,2",
        &["f.csv:3:1  2 cells where the header has 3"],
        &[ONE],
    );
    check(&solar(""), "sep=,\nora,livello\n", &["f.csv:1:1  its first line says that it is separated by ','; write separator = ','"], &[]);
}

#[test]
fn headers_may_break_their_lines_and_two_columns_of_a_name_are_chosen_by_number() {
    let of = |column: &str| solar("").replace("column = \"livello\"", column);
    let two = "ora;livello;livello\n01/02/2014 00:00;9;1,25\n01/02/2014 01:00;9;1,26\n";
    check(&of("column = 3"), two, &[], &[ONE, TWO]);
    check(&of("column = \"livello\""), two, &["f.csv has several columns \"livello\": the numbers 2 and 3; choose one by its number"], &[]);
    check(&of("column = 4"), two, &["f.csv has no column 4; it has 3"], &[]);
    let broken = "ora;\"Livello\n(m)\"\n01/02/2014 00:00;1,25\n01/02/2014 01:00;1,26\n";
    check(&of("column = \"Livello (m)\""), broken, &[], &[ONE, TWO]);
    let open = "ora;\"livello\n01/02/2014 00:00;1,25\n01/02/2014 01:00;\"1,26\"\n";
    check(&solar(""), open, &["f.csv:1:1  the quotation that begins in cell 2 is never closed"], &[]);
}

#[test]
fn a_quotation_mark_that_nobody_closed_costs_its_own_row() {
    let file = "ora;livello;note\n01/02/2014 00:00;1,25;\n01/02/2014 02:00;5;\"tubo da 4 pollici\n01/02/2014 01:00;1,26;pulito\"\n";
    check(&solar(""), file, &["f.csv:3:3  the quotation that begins in cell 3 is never closed"], &[ONE, TWO]);
    check(&solar("quote = false"), file, &[], &[ONE, TWO, ("2014-02-01T01:00:00Z", 5.0)]);
    let noted = "ora;livello;note\n01/02/2014 00:00;1,25;\"due\nrighe\"\n01/02/2014 01:00;1,26;\n";
    check(&solar(""), noted, &[], &[ONE, TWO]);
}

#[test]
fn a_file_that_begins_with_its_newest_row_keeps_the_hour_that_comes_twice() {
    let rows = ["26/10/2014 01:00;1", "26/10/2014 02:00;2", "26/10/2014 02:00;3", "26/10/2014 03:00;4"];
    let expected =
        [("2014-10-25T23:00:00Z", 1.0), ("2014-10-26T00:00:00Z", 2.0), ("2014-10-26T01:00:00Z", 3.0), ("2014-10-26T02:00:00Z", 4.0)];
    let mut newest = rows;
    newest.reverse();
    for rows in [rows, newest] {
        check(NAIVE, &format!("ora;livello\n{}\n", rows.join("\n")), &[], &expected);
    }
    check(NAIVE, "ora;livello\n26/10/2014 02:00;2\n26/10/2014 02:00;3\n", &["no row around it says", "no row around it says"], &[]);
}

#[test]
fn a_table_of_two_sensors_is_refused_until_the_pattern_chooses() {
    let file = "id;ora;livello;stato\n8010;01/02/2014 00:00;1,25;VA\n8010;01/02/2014 01:00;1,26;VA\n8010;01/02/2014 01:00;7;NV\n\
                9150;01/02/2014 00:00;3;VA\n9150;01/02/2014 01:00;4;VA\n";
    let complaint =
        "f.csv:4:1  level has two values for 2014-02-01T00:00:00Z: 1.26 in line 3 and 7 in line 4, and so 3 times; nothing was written";
    check(&solar(""), file, &[complaint], &[]);
    check(&solar(""), file, &["where = { id = \"8010\" } (it has \"8010\", \"9150\"), or with where = { stato = \"VA\" }"], &[]);
    let report = check(&solar("where = { id = 8010, stato = \"VA\" }"), file, &[], &[ONE, TWO]);
    assert!(
        report.notes.iter().any(|note| note.contains("3 rows were passed over that are not of id = 8010, stato = VA")),
        "{:?}",
        report.notes
    );
    check(&solar("same_time = \"first\"\nwhere = { id = 8010 }"), file, &[], &[ONE, TWO]);
    check(&solar("same_time = \"last\"\nwhere = { id = \"8010\" }"), file, &[], &[ONE, ("2014-02-01T00:00:00Z", 7.0)]);
    check(&solar("where = { id = \"8011\" }"), file, &["f.csv  none of its 5 rows is of id = 8011"], &[]);
    check(&solar("where = { ident = \"8010\" }"), file, &["f.csv has no column \"ident\""], &[]);
    let named = solar("where = { stato = \"VA\" }")
        .replace("datastream = \"level\"", "datastream_column = \"id\"\ndatastreams = { 8010 = \"level\", 9150 = \"rain\" }");
    check(&named, file, &[], &[ONE, TWO]);
    let by_itself = solar("").replace("datastream = \"level\"", "datastream_column = \"id\"");
    let of_ids =
        "id;ora;livello\nlevel;01/02/2014 00:00;1,25\nrain;01/02/2014 00:00;3\nlevell;01/02/2014 00:00;3\nlevel;01/02/2014 01:00;1,26\n";
    check(&by_itself, of_ids, &["f.csv:4:1  there is no datastream \"levell\"; did you mean \"level\"?"], &[ONE, TWO]);
    // The same value twice is no contradiction.
    check(&solar(""), "ora;livello\n01/02/2014 00:00;1,25\n01/02/2014 00:00;1,250\n", &[], &[ONE]);
}

#[test]
fn blocks_are_told_apart_by_the_line_that_heads_them() {
    let file = "Stazione: Ponte A;;\nora;livello\n01/02/2014 00:00;1,25\n01/02/2014 01:00;1,26\nStazione: Ponte B;;\nora;livello\n\
                01/02/2014 00:00;3\n01/02/2014 01:00;4\n";
    check(&solar("heading = \"Stazione:\"\nwhere = { block = \"Ponte A\" }"), file, &[], &[ONE, TWO]);
    check(&solar("heading = \"Stazione:\""), file, &["level has two values for 2014-01-31T23:00:00Z"], &[]);
    let headless = file.trim_start_matches("Stazione: Ponte A;;\n");
    check(&solar("where = { block = \"Ponte A\" }"), headless, &["say with heading = "], &[]);
}

#[test]
fn a_zone_that_can_mean_two_things_is_refused_with_both_cures() {
    let file = "ora;livello\n01/02/2014 00:00;1,25\n";
    for (zone, cure) in [
        ("CET", "write zone = \"+01:00\" if the logger's clock never changed, or zone = \"Europe/Rome\" if it changed"),
        ("MESZ", "zone = \"+02:00\""),
        ("UTC+1", "as zone = \"+01:00\""),
        ("+25:00", "there is no zone"),
    ] {
        check(&NAIVE.replace("Europe/Rome", zone), file, &[cure], &[]);
    }
    for zone in ["+01", "+1:00", "+0100"] {
        check(&NAIVE.replace("Europe/Rome", zone), file, &[], &[ONE]);
    }
}

#[test]
fn years_that_no_history_has_are_named_with_the_cure() {
    let file = "ora;livello\n01/02/14 00:00;1\n01/02/1849 00:00;1\n01/02/2014 00:00;1,25\n";
    check(
        &solar(""),
        file,
        &["f.csv:2:1  0014-01-31T23:00:00Z lies before 1850, from when on history is taken; mend the year, or write %y", "1849"],
        &[ONE],
    );
    let short = solar("").replace("%Y", "%y");
    check(
        &short,
        "ora;livello\n01/02/49 00:00;1\n01/02/14 00:00;1,25\n",
        &["lies ahead of now; if its two digits mean another century"],
        &[ONE],
    );
    let old = short.replace("zone =", "two_digit_years_from = 1920\nzone =");
    check(&old, "ora;livello\n01/02/49 00:00;1\n01/02/14 00:00;1,25\n", &[], &[("1949-01-31T23:00:00Z", 1.0), ONE]);
}

/// The times of the rain that a pattern makes of two rows.
fn rain(time: &str, file: &str, expected: &[&str]) -> Report {
    let store = store();
    let text = format!(
        "separator = \";\"\n[time]\ncolumn = \"ora\"\nzone = \"Europe/Rome\"\n{time}\n[[value]]\ncolumn = \"mm\"\ndatastream = \"rain\"\n"
    );
    let report = import(&store, Cursor::new(file), "f.csv", &pattern(&text), Mode::Write, &mut |_| ()).expect("imported");
    let view = store.seen_by(&Viewer::Token { owner: "o".into(), scopes: vec![Scope::Read] });
    let kept = view.observations(&view.datastream("rain").expect("rain"), Interval::ALL, 99).expect("read");
    assert_eq!(kept.iter().map(|kept| kept.phenomenon_time.to_string()).collect::<Vec<_>>(), expected);
    report
}

#[test]
fn the_time_of_rain_is_the_end_of_its_interval() {
    let hours = "ora;mm\n29/03/2014 23:00;1\n30/03/2014 01:00;2\n";
    rain("format = \"%d/%m/%Y %H:%M\"", hours, &["2014-03-29T22:00:00Z", "2014-03-30T00:00:00Z"]);
    rain("format = \"%d/%m/%Y %H:%M\"\nlabel = \"start\"", hours, &["2014-03-29T23:00:00Z", "2014-03-30T01:00:00Z"]);
    rain("format = \"%d/%m/%Y %H:%M\"\nlabel = \"start\"\ninterval = \"PT10M\"", hours, &["2014-03-29T22:10:00Z", "2014-03-30T00:10:00Z"]);
    let days = "ora;mm\n29/03/2014;1\n30/03/2014;2\n";
    // The second day has 23 hours.
    let of_days = "format = \"%d/%m/%Y\"\ninterval = \"P1D\"\n";
    let told = rain(&format!("{of_days}label = \"start\""), days, &["2014-03-29T23:00:00Z", "2014-03-30T22:00:00Z"]);
    assert_eq!(told.notes, Vec::<String>::new());
    let told = rain(of_days, days, &["2014-03-28T23:00:00Z", "2014-03-29T23:00:00Z"]);
    assert!(told.notes.iter().any(|note| note.contains("write label = \"start\"")), "{:?}", told.notes);
}

#[test]
fn a_dry_run_refuses_what_a_run_refuses_and_warns_of_the_unit_in_the_header() {
    let store = store();
    let file = "ora;Livello (cm)\n01/02/2014 00:00;1,25\n01/02/2014 01:00;1.2\n";
    let text = solar("").replace("column = \"livello\"", "column = \"Livello (cm)\"");
    let run = |mode| {
        let mut said = Vec::new();
        let mut tell = |told: Told<'_>| {
            if let Told::Refused { row, .. } = told {
                said.push(row.to_owned());
            }
        };
        let report = import(&store, Cursor::new(file), "f.csv", &pattern(&text), mode, &mut tell).expect("imported");
        (said, report.rows, report.refused, report.values, report.notes)
    };
    let dry = run(Mode::DryRun);
    assert_eq!(dry, run(Mode::Write));
    assert_eq!((dry.1, dry.2, dry.3), (2, 1, 1));
    assert!(dry.4[0].contains("the header \"Livello (cm)\" says \"cm\", the values are read as m"), "{:?}", dry.4);
}

/// Imports a file, mends what was refused as `mend` says and imports that with the same pattern.
fn mended(pattern_text: &str, file: &str, mend: &[(&str, &str)], levels: &[(&str, f64)]) {
    let store = store();
    let run = |file: &str| {
        let (mut kept, mut count) = (String::new(), 0);
        let mut tell = |told: Told<'_>| match told {
            Told::Head(head) => kept = head.to_owned(),
            Told::Refused { row, .. } => {
                count += 1;
                kept += &format!("{row}\n");
            }
            Told::Progress { .. } => {}
        };
        import(&store, Cursor::new(file), "f.csv", &pattern(pattern_text), Mode::Write, &mut tell).expect("imported");
        (kept, count)
    };
    let (refused, count) = run(file);
    assert_eq!(count, mend.len(), "{refused}");
    // What nobody mended is refused once more, for the same reasons.
    assert_eq!(run(&refused).0.replace("f.csv", ""), run(&run(&refused).0).0.replace("f.csv", ""));
    assert_eq!(run(&refused).1, mend.len(), "{refused}");
    let whole = mend.iter().fold(refused, |text, (wrong, right)| text.replacen(wrong, right, 1));
    assert_eq!(run(&whole).1, 0, "{whole}");
    let view = store.seen_by(&Viewer::Token { owner: "o".into(), scopes: vec![Scope::Read] });
    let kept = view.observations(&view.datastream("level").expect("level"), Interval::ALL, 99).expect("read");
    let kept: Vec<_> = kept.iter().map(|kept| (kept.phenomenon_time.to_string(), kept.result)).collect();
    assert_eq!(kept, levels.iter().map(|(at, value)| ((*at).to_owned(), *value)).collect::<Vec<_>>());
}

#[test]
fn refused_rows_are_mended_where_they_are_kept_and_go_in_with_the_same_pattern() {
    mended(&solar(""), "ora;livello\n01/02/2014 00:00;1,25\n01/02/2014 01:00;1,2S\n", &[("1,2S", "1,26")], &[ONE, TWO]);
    mended(
        &solar("skip = 1\nquote = false"),
        "Consorzio; di prova\nnote;ora;livello\n\"aperta;01/02/2014 00:00;1;25\nx;01/02/2014 01:00;1.2\n",
        &[(";1;25", ";1,25"), ("1.2;", "1,26;")],
        &[ONE, TWO],
    );
    mended(&solar(""), "ora;livello;note\n01/02/2014 01:00;1,26;\"open\n01/02/2014 00:00;1,25;\n", &[("\"open", "open")], &[ONE, TWO]);
    mended(
        &solar("columns = [\"ora\", \"livello\"]"),
        "01/02/2014 00:00;1,25\n01/02/2014 01:00\n",
        &[("01:00;", "01:00;1,26;")],
        &[ONE, TWO],
    );
    mended(
        &solar("heading = \"Stazione:\"\nwhere = { block = \"B\" }"),
        "ora;livello\nStazione: A\n01/02/2014 00:00;7\nStazione: B\n01/02/2014 00:00;1,25\n01/02/2014 01:00;x\n",
        &[("x", "1,26")],
        &[ONE, TWO],
    );
    let commas = "decimal = \".\"\n[time]\ncolumn = \"ora\"\nformat = \"%d/%m/%Y %H:%M\"\nzone = \"+01:00\"\n[[value]]\ncolumn = \"livello\"\ndatastream = \"level\"\n";
    mended(commas, "ora,livello\n01/02/2014 00:00,1.25\n01/02/2014 01:00,\"1,26\"\n", &[("\"1,26\"", "1.26")], &[ONE, TWO]);
}
