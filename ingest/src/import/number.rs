//! Numbers as people and loggers write them, strictly: what could mean two things is refused.

/// Why a cell is no number, in words that name the cure.
pub(super) fn read(cell: &str, decimal: char) -> Result<f64, String> {
    let text = cell.trim();
    let other = if decimal == ',' { '.' } else { ',' };
    if text.contains(other)
        && text.bytes().any(|byte| byte.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_digit() || b".,+-eE".contains(&byte))
    {
        return Err(format!(
            "{cell:?} has a \"{other}\" where the pattern's decimal sign is \"{decimal}\"; write decimal = \"{other}\" if that is what it means"
        ));
    }
    let plain = if decimal == ',' { text.replace(',', ".") } else { text.to_owned() };
    let looks_like_one = plain.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'e' | b'E'));
    match plain.parse::<f64>() {
        Ok(number) if looks_like_one && number.is_finite() => Ok(if number == 0.0 { 0.0 } else { number }),
        _ => Err(format!("{cell:?} is no number; mend it, or add it to missing if it means that nothing was measured")),
    }
}

/// The cells that say that nothing was measured.
pub(super) struct Missing {
    words: Vec<String>,
    numbers: Vec<f64>,
}

impl Missing {
    pub(super) fn of(words: &[String]) -> Self {
        let numbers = words.iter().filter_map(|word| word.trim().parse().ok()).filter(|number: &f64| number.is_finite()).collect();
        Self { words: words.iter().map(|word| word.trim().to_owned()).collect(), numbers }
    }
    /// The number of a cell; `None` where nothing was measured.
    ///
    /// # Errors
    /// As [`read`].
    pub(super) fn or_number(&self, cell: &str, decimal: char) -> Result<Option<f64>, String> {
        match read(cell, decimal) {
            Ok(number) => Ok(Some(number).filter(|number| !self.numbers.contains(number))),
            Err(_) if self.words.iter().any(|word| word.eq_ignore_ascii_case(cell.trim())) => Ok(None),
            Err(message) => Err(message),
        }
    }
}
