use crate::gauge::{Shape, Storm};

/// One flood: when it starts at the uppermost gauge, and how great it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flood {
    /// Seconds since the epoch.
    pub(super) start_s: f64,
    /// Of the great one.
    pub(super) share: f64,
}

impl Flood {
    /// How high it stands at a gauge, as a share of the great one's crest: a smooth rise, then a recession that becomes
    /// exponential. Continuous, with a continuous slope.
    pub(super) fn share(&self, shape: &Shape, now_s: f64) -> f64 {
        let since = now_s - self.start_s - shape.lag_s;
        let past_crest = (since - shape.rise_s) / shape.recession_s;
        self.share * if past_crest > 0.0 { (1.0 + past_crest) * (-past_crest).exp() } else { smooth(since / shape.rise_s) }
    }

    /// Tips of a rain gauge's bucket since before this flood's storm.
    pub(super) fn tips(&self, storm: &Storm, now_s: f64) -> f64 {
        let since = now_s - self.start_s + storm.lead_s;
        (self.share * storm.depth_mm / super::TIP_MM * smooth(since / storm.length_s)).floor()
    }
}

/// From 0 at 0 to 1 at 1, level at both ends.
fn smooth(x: f64) -> f64 {
    let x = x.clamp(0.0, 1.0);
    x * x * (3.0 - 2.0 * x)
}

/// Where [`smooth`] reaches `share`, found by halving.
pub(super) fn rise_reaches(share: f64) -> f64 {
    let (mut low, mut high) = (0.0_f64, 1.0_f64);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if smooth(middle) < share { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}
