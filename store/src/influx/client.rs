//! The fence around the client library: its only use, with timeouts, and its errors in our words.

use super::InfluxSettings;
use influxdb2::api::write::TimestampPrecision;
use influxdb2::{ClientBuilder, RequestError};
use model::Interval;
use std::time::Duration;

const CONNECT: Duration = Duration::from_secs(5);
const WHOLE: Duration = Duration::from_secs(30);
/// Of the server's words: it repeats every bad line.
const MOST_WORDS: usize = 300;

pub(super) struct Client {
    influx: influxdb2::Client,
    /// The library loses the header of an answer; this asks for it.
    plain: reqwest::Client,
    settings: InfluxSettings,
}

/// What became of a write.
#[derive(Debug)]
pub(super) enum Wrote {
    Kept,
    /// Something in it is wrong; what is not was kept. In the server's words.
    Wrong(String),
    /// Too many bytes at once.
    TooLarge,
    /// Not now: why, and how long the server asks to wait.
    Later(String, Option<Duration>),
}

impl Client {
    /// # Errors
    /// In words, when the address is none.
    pub(super) fn new(settings: &InfluxSettings) -> Result<Self, String> {
        let builder = || reqwest::Client::builder().connect_timeout(CONNECT).timeout(WHOLE);
        let url = &settings.url;
        reqwest::Url::parse(url).map_err(|cause| format!("{url} is no address: {cause}"))?;
        let influx =
            ClientBuilder::with_builder(builder(), url, &settings.org, &settings.token).build().map_err(|cause| cause.to_string())?;
        let plain = builder().build().map_err(|cause| cause.to_string())?;
        Ok(Self { influx, plain, settings: settings.clone() })
    }

    pub(super) async fn write(&self, lines: String) -> Wrote {
        let InfluxSettings { org, bucket, .. } = &self.settings;
        match self.influx.write_line_protocol_with_precision(org, bucket, lines, TimestampPrecision::Microseconds).await {
            Ok(()) => Wrote::Kept,
            Err(RequestError::Http { status, text }) => match status.as_u16() {
                400 | 422 => Wrote::Wrong(words(&text)),
                413 => Wrote::TooLarge,
                401 | 403 => {
                    Wrote::Later(format!("it refuses the token ({status}): {}; mend token_file under [influx]", words(&text)), None)
                }
                404 => Wrote::Later(format!("{}; mend org or bucket under [influx], or make the bucket", words(&text)), None),
                429 | 503 => Wrote::Later(format!("it asks to wait ({status})"), self.asked_to_wait().await),
                _ => Wrote::Later(format!("{status}: {}", words(&text)), None),
            },
            Err(other) => Wrote::Later(words(&other.to_string()), None),
        }
    }

    /// `Retry-After`, of a write of nothing.
    async fn asked_to_wait(&self) -> Option<Duration> {
        let InfluxSettings { url, org, bucket, token } = &self.settings;
        let request = self.plain.post(format!("{}/api/v2/write", url.trim_end_matches('/')));
        let request = request.query(&[("org", org), ("bucket", bucket)]).header("authorization", format!("Token {token}"));
        let answer = request.send().await.ok()?;
        let seconds: u64 = answer.headers().get("retry-after")?.to_str().ok()?.trim().parse().ok()?;
        Some(Duration::from_secs(seconds.min(600)))
    }

    /// Deletes what a datastream has of an interval there; the library counts in whole seconds, so the whole seconds that it touches.
    ///
    /// # Errors
    /// In words.
    pub(super) async fn delete(&self, measurement: &str, datastream: &str, interval: Interval) -> Result<(), String> {
        let second = |seconds: i64| {
            // As far as InfluxDB's times reach.
            let within = seconds.clamp(-9_223_372_036, 9_223_372_036);
            chrono::DateTime::from_timestamp(within, 0).map(|at| at.naive_utc()).ok_or("no such time")
        };
        let (from, to) = (second(interval.from.seconds())?, second(interval.to.seconds().saturating_add(1))?);
        let predicate = format!("_measurement=\"{measurement}\" AND datastream=\"{datastream}\"");
        let deleted = self.influx.delete(&self.settings.bucket, from, to, Some(predicate)).await;
        deleted.map_err(|cause| words(&cause.to_string()))
    }
}

fn words(text: &str) -> String {
    let plain: String = text.chars().map(|char| if char.is_control() { ' ' } else { char }).take(MOST_WORDS).collect();
    if text.chars().count() > MOST_WORDS { plain + " …" } else { plain }
}
