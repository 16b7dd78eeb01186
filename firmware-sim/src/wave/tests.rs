use super::*;

const GAUGES: [Gauge; 9] = [
    Gauge::Gamberame,
    Gauge::Prato,
    Gauge::Campi,
    Gauge::SanPieroAPonti,
    Gauge::Calenzano,
    Gauge::Pistoia,
    Gauge::PoggioACaiano,
    Gauge::CastellettiBasin,
    Gauge::CastellettiRiver,
];

fn epoch() -> Timestamp {
    Timestamp::parse("2026-11-23T08:00:00Z").expect("a time")
}

fn wave() -> Wave {
    Wave::new(7, epoch())
}

/// Every `step` seconds of `[from, to)`, seconds since the epoch.
fn times(from: i64, to: i64, step: usize) -> impl Iterator<Item = Timestamp> {
    (from..to).step_by(step).map(|second| epoch().plus_seconds(second))
}

fn crest(gauge: Gauge) -> Timestamp {
    let wave = wave();
    times(-7200, 12 * 3600, 30).max_by(|a, b| wave.true_level(gauge, *a).total_cmp(&wave.true_level(gauge, *b))).expect("times")
}

#[test]
fn the_same_seed_and_epoch_say_the_same_after_a_restart() {
    for at in times(-30 * 86_400, 3 * 86_400, 7919) {
        assert_eq!(wave().level(Gauge::Prato, at).to_bits(), Wave::new(7, epoch()).level(Gauge::Prato, at).to_bits());
    }
    assert!(times(0, 600, 10).any(|at| wave().level(Gauge::Prato, at) != Wave::new(8, epoch()).level(Gauge::Prato, at)));
}

#[test]
fn the_first_threshold_is_crossed_within_two_minutes_and_not_before() {
    let t1 = Gauge::Gamberame.first_threshold().expect("a threshold");
    for seed in 0..50 {
        let wave = Wave::new(seed, epoch());
        assert!(times(-3600, 60, 10).all(|at| wave.level(Gauge::Gamberame, at) < t1), "seed {seed}");
        assert!(times(100, 3600, 10).all(|at| wave.level(Gauge::Gamberame, at) > t1), "seed {seed}");
    }
}

#[test]
fn the_others_are_still_below_their_thresholds_when_it_starts() {
    for gauge in GAUGES {
        let Some(t1) = gauge.first_threshold() else { continue };
        assert!(wave().level(gauge, epoch()) < t1, "{gauge:?}");
        let crossed = times(0, 8 * 3600, 10).any(|at| wave().level(gauge, at) > t1);
        assert!(crossed, "{gauge:?} is reached in the same flood");
    }
}

#[test]
fn no_gauge_rises_faster_than_the_bisenzio_did_and_none_jumps() {
    for gauge in GAUGES {
        let mut steepest: f64 = 0.0;
        let mut before = wave().true_level(gauge, epoch().plus_seconds(-31 * 86_400));
        for at in times(-31 * 86_400 + 60, 4 * 86_400, 60) {
            let level = wave().true_level(gauge, at);
            steepest = steepest.max((level - before) * 60.0);
            assert!((level - before).abs() < 0.05, "{gauge:?} at {at}");
            before = level;
        }
        assert!((0.5..=2.3).contains(&steepest), "{gauge:?}: {steepest} m/h");
    }
}

#[test]
fn the_crest_needs_two_hours_from_gamberame_to_san_piero() {
    let lag = crest(Gauge::SanPieroAPonti).seconds_since(crest(Gauge::Gamberame)) / 3600.0;
    assert!((1.8..=2.2).contains(&lag), "{lag} h");
    let order = [Gauge::Gamberame, Gauge::Prato, Gauge::Campi, Gauge::SanPieroAPonti].map(crest);
    assert!(order.is_sorted());
    let height = wave().level(Gauge::SanPieroAPonti, crest(Gauge::SanPieroAPonti));
    assert!((6.0..7.0).contains(&height), "about 6 to 7 m at San Piero: {height}");
    let height = wave().level(Gauge::Gamberame, crest(Gauge::Gamberame));
    assert!((5.5..6.0).contains(&height), "just under 6 m at Gamberame: {height}");
}

#[test]
fn floods_come_again_and_again_and_the_month_before_had_modest_ones() {
    let t1 = Gauge::Gamberame.first_threshold().expect("a threshold");
    let crossings = |from: i64, to: i64| {
        let over: Vec<bool> = times(from, to, 300).map(|at| wave().true_level(Gauge::Gamberame, at) > t1).collect();
        over.windows(2).filter(|pair| !pair[0] && pair[1]).count()
    };
    assert_eq!(crossings(-30 * 86_400, -3600), 3);
    assert_eq!(crossings(-3600, 100 * 3600), 4, "one every 25 hours");
    let calm = wave().true_level(Gauge::Gamberame, epoch().plus_seconds(20 * 3600));
    assert!(calm < 1.0, "the water falls in between: {calm}");
}

#[test]
fn rain_is_whole_tips_however_the_time_is_cut() {
    let (start, end) = (epoch().plus_seconds(-4 * 3600), epoch().plus_seconds(8 * 3600));
    for (gauge, depth) in [(RainGauge::Sofignano, 190.0), (RainGauge::Montemurlo, 140.0)] {
        let whole = wave().rain(gauge, start, end);
        assert!((whole - depth).abs() < 0.3, "{gauge:?}: {whole}");
        let mut sum = 0.0;
        let mut most: f64 = 0.0;
        for from in times(-4 * 3600, 8 * 3600, 10) {
            let mm = wave().rain(gauge, from, from.plus_seconds(10));
            let tips = (mm / TIP_MM).round();
            assert_eq!(mm, tips / 5.0, "a decimal number of whole tips");
            sum += mm;
            most = most.max(mm);
        }
        assert!((sum - whole).abs() < 1e-6, "{sum} and {whole}");
        assert!(most <= 0.4, "{most} mm in 10 s");
        assert!(wave().rain(gauge, epoch(), epoch().plus_seconds(3600)) > 20.0, "it rains when the demonstration starts");
    }
}
