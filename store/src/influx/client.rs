//! The fence around the client library: its only use, with timeouts, and its errors in our words.

mod read;

pub(super) use read::{Page, Which};

use super::InfluxSettings;
use influxdb2::api::write::TimestampPrecision;
use influxdb2::{ClientBuilder, RequestError};
use model::{Interval, Timestamp};
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
        Self::with_patience(settings, WHOLE)
    }

    /// With so much time for each answer.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub(super) fn with_patience(settings: &InfluxSettings, whole: Duration) -> Result<Self, String> {
        let builder = || reqwest::Client::builder().connect_timeout(CONNECT.min(whole)).timeout(whole);
        let url = &settings.url;
        reqwest::Url::parse(url).map_err(|cause| format!("{url} is no address: {cause}"))?;
        let influx = ClientBuilder::with_builder(builder(), url, &settings.org, settings.token.current())
            .build()
            .map_err(|cause| cause.to_string())?;
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
        let request = request.query(&[("org", org), ("bucket", bucket)]).header("authorization", format!("Token {}", token.current()));
        let answer = request.send().await.ok()?;
        let seconds: u64 = answer.headers().get("retry-after")?.to_str().ok()?.trim().parse().ok()?;
        Some(Duration::from_secs(seconds.min(600)))
    }

    /// Deletes what a datastream has of `[from, to)` there, to the microsecond. Not by the library, which writes whole seconds: what
    /// stands in them beside it may be nowhere but there.
    ///
    /// # Errors
    /// In words.
    pub(super) async fn delete(&self, measurement: &str, datastream: &str, interval: Interval) -> Result<(), String> {
        // Its interval holds both ends.
        let (from, to) = (interval.from.max(EARLIEST), interval.to.min(LATEST).plus_micros(-1));
        if from > to {
            return Ok(());
        }
        let InfluxSettings { url, org, bucket, token } = &self.settings;
        let predicate = format!("_measurement=\"{measurement}\" AND datastream=\"{datastream}\"");
        let body = serde_json::json!({ "start": from.to_string(), "stop": to.to_string(), "predicate": predicate });
        let request = self.plain.post(format!("{}/api/v2/delete", url.trim_end_matches('/')));
        let request = request.query(&[("org", org), ("bucket", bucket)]).header("authorization", format!("Token {}", token.current()));
        let answer = request.header("content-type", "application/json").body(body.to_string()).send().await;
        let answer = answer.map_err(|cause| words(&cause.to_string()))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        Err(format!("{status}: {}", words(&answer.text().await.unwrap_or_default())))
    }
}

/// As far as InfluxDB's times reach.
const EARLIEST: Timestamp = Timestamp::from_seconds(-9_223_372_036);
const LATEST: Timestamp = Timestamp::from_seconds(9_223_372_036);

fn words(text: &str) -> String {
    let plain: String = text.chars().map(|char| if char.is_control() { ' ' } else { char }).take(MOST_WORDS).collect();
    if text.chars().count() > MOST_WORDS { plain + " …" } else { plain }
}
