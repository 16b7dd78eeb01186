use crate::Error;
use crate::frames::Frames;
use crate::job::Job;
use model::{Column, ColumnKind, Dataset, Datastream, Interval, Text, Unit, civil_day, civil_days, epoch_day};
use polars::prelude::*;

/// Below this share of the expected observations a mean says more about the gaps than about the water. Source: domain rule of the
/// house, after QARTOD; what was measured (min, max) is never hidden.
const MEAN_FROM_COVERAGE: f64 = 0.75;

/// Per gauge and civil day of Europe/Rome: least, mean and greatest level, when it was greatest, how many observations, how many of
/// those expected.
pub struct LivelliGiornalieri;

impl Job for LivelliGiornalieri {
    fn about(&self) -> Dataset {
        let column = |name: &str, kind, unit, it: &str, en: &str| Column { name: name.into(), kind, unit, meaning: Text::new(it, en) };
        let metre = Some(Unit::Metre);
        use ColumnKind::{Count, Day, Instant, Number, Text as Words};
        Dataset {
            id: "livelli-giornalieri".into(),
            title: Text::new("Livelli giornalieri", "Daily levels"),
            description: Text::new(
                "Per ogni sensore di livello e giorno civile italiano: minimo, media, massimo con la sua ora, quante misure e quante ne \
                 erano attese. I giorni del cambio d'ora hanno 23 e 25 ore. Una misura che arriva in ritardo corregge il suo giorno.",
                "For each level sensor and Italian civil day: minimum, mean, maximum with its time, how many observations and how many \
                 were expected. The days of the clock change have 23 and 25 hours. An observation that comes late corrects its day.",
            ),
            caution: Text::new("Dati non validati.", "Data not validated."),
            licence: "CC-BY-4.0".into(),
            licence_url: "https://creativecommons.org/licenses/by/4.0/".into(),
            columns: vec![
                column("station", Words, None, "Codice della stazione", "Code of the station"),
                column("name", Words, None, "Nome della stazione", "Name of the station"),
                column("river", Words, None, "Corso d'acqua, dove c'è", "River, where there is one"),
                column("datastream", Words, None, "Codice della serie di misure", "Code of the series of observations"),
                column("property", Words, None, "Grandezza misurata", "What is measured"),
                column("day", Day, None, "Giorno civile (ora italiana)", "Civil day (Italian time)"),
                column("min", Number, metre, "Minimo del giorno", "Least of the day"),
                column(
                    "mean",
                    Number,
                    metre,
                    "Media delle misure; vuota sotto il 75 % di copertura",
                    "Mean of the observations; empty below 75 % coverage",
                ),
                column("max", Number, metre, "Massimo del giorno", "Greatest of the day"),
                column("max_at", Instant, None, "Quando fu raggiunto il massimo, la prima volta", "When the greatest was reached first"),
                column("count", Count, None, "Misure usabili (qualità 1 o 2)", "Usable observations (quality 1 or 2)"),
                column(
                    "expected",
                    Count,
                    None,
                    "Misure attese: durata del giorno diviso il passo nominale",
                    "Expected: length of the day divided by the nominal period",
                ),
                column("coverage", Number, None, "Misure su attese, da 0 a 1", "Observations over expected, 0 to 1"),
            ],
        }
    }

    fn wants(&self, datastream: &Datastream) -> bool {
        datastream.property.is_level()
    }

    fn revision(&self) -> u32 {
        2
    }

    fn build(&self, frames: &Frames, interval: Interval) -> Result<DataFrame, Error> {
        let greatest = || col("value").max();
        let of_days = frames.observations(interval)?.lazy().group_by([col("number"), col("day")]).agg([
            col("value").min().alias("min"),
            col("value").mean().alias("mean"),
            greatest().alias("max"),
            col("time").filter(col("value").eq(greatest())).min().alias("max_at"),
            col("value").count().cast(DataType::Int64).alias("count"),
        ]);
        let expected = || col("length_s") / col("period_s");
        let share = || col("count").cast(DataType::Float64) / col("expected").cast(DataType::Float64);
        let inner =
            |left: LazyFrame, right: DataFrame, key: &str| left.join(right.lazy(), [col(key)], [col(key)], JoinArgs::new(JoinType::Inner));
        let with_days = inner(of_days, lengths(interval)?, "day");
        let described = inner(with_days, frames.described()?, "number");
        let columns: Vec<Expr> = self.about().columns.iter().map(|column| col(column.name.as_str())).collect();
        let rows = described
            .with_columns([expected().cast(DataType::Int64).alias("expected")])
            .with_columns([when(share().gt(lit(1.0))).then(lit(1.0)).otherwise(share()).alias("coverage")])
            .with_columns([when(col("coverage").gt_eq(lit(MEAN_FROM_COVERAGE))).then(col("mean")).otherwise(lit(NULL)).alias("mean")])
            .select(columns);
        Ok(rows.collect()?)
    }
}

/// The civil days of an interval and how many seconds each has.
fn lengths(interval: Interval) -> Result<DataFrame, Error> {
    let (mut day, mut length_s) = (Vec::new(), Vec::new());
    for around in civil_days(interval) {
        day.push(epoch_day(civil_day(around.from)));
        length_s.push(around.to.seconds_since(around.from));
    }
    let day = polars::prelude::Column::new("day".into(), day).cast(&DataType::Date)?;
    Ok(DataFrame::new_infer_height(vec![day, polars::prelude::Column::new("length_s".into(), length_s)])?)
}
