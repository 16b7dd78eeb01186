//! Meters as somebody in particular may read them: whoever publishes nothing is counted, and not named.

use std::collections::{BTreeSet, HashMap};

/// Labels that name something of an owner: for that owner only.
const NAMES: [&str; 5] = ["broker", "device", "edge", "datastream", "station"];

/// Whom the one who asks may see named.
pub(crate) struct Named {
    /// Owners that exist for the one who asks.
    pub(crate) owners: BTreeSet<String>,
    /// The owner whose token was shown, if it may read.
    pub(crate) own: Option<String>,
}

/// The text with the meters of all who may not be named summed up, under the labels that name nobody.
pub(crate) fn discreet(text: &str, named: &Named) -> String {
    let mut lines: Vec<(String, Option<f64>)> = Vec::new();
    let mut sums: HashMap<String, usize> = HashMap::new();
    for line in text.lines() {
        let Some((meter, value)) = without_names(line, named) else {
            lines.push((line.to_owned(), None));
            continue;
        };
        match sums.get(&meter).and_then(|place| lines.get_mut(*place)) {
            Some((_, sum)) => *sum = sum.map(|sum| sum + value),
            None => {
                sums.insert(meter.clone(), lines.len());
                lines.push((meter, Some(value)));
            }
        }
    }
    lines.into_iter().fold(String::new(), |mut out, (line, sum)| {
        out.push_str(&line);
        if let Some(sum) = sum {
            out.push_str(&format!(" {sum}"));
        }
        out.push('\n');
        out
    })
}

/// The meter and its value, where something of it is not to be named; `None` where all of it is.
fn without_names(line: &str, named: &Named) -> Option<(String, f64)> {
    if line.starts_with('#') {
        return None;
    }
    let (name, rest) = line.split_once('{')?;
    let (labels, value) = rest.rsplit_once("} ")?;
    // Names of owners, devices and the like hold no comma and no quote.
    let pairs: Vec<(&str, &str)> = labels.split(',').filter_map(|pair| pair.split_once('=')).collect();
    let owner = pairs.iter().find(|(label, _)| *label == "owner").map(|(_, owner)| owner.trim_matches('"'));
    let is_own = owner.is_some() && owner == named.own.as_deref();
    let may_stand = |(label, _): &&(&str, &str)| match *label {
        "owner" => is_own || owner.is_some_and(|owner| named.owners.contains(owner)),
        label if NAMES.contains(&label) => is_own,
        _ => true,
    };
    let kept: Vec<String> = pairs.iter().filter(may_stand).map(|(label, value)| format!("{label}={value}")).collect();
    if kept.len() == pairs.len() {
        return None;
    }
    let meter = if kept.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", kept.join(",")) };
    Some((meter, value.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_publishes_nothing_is_counted_and_not_named() {
        let text = "# HELP m Readings.\nm{protocol=\"http\",owner=\"a\",result=\"ok\"} 1\nm{protocol=\"http\",owner=\"b\",result=\"ok\"} 2\nm{protocol=\"http\",owner=\"c\",result=\"ok\"} 3\n\
            b{owner=\"a\",broker=\"x\"} 1\nb{owner=\"b\",broker=\"y\"} 1\nplain 7\n# EOF\n";
        let owners = |owners: &[&str]| owners.iter().map(|owner| (*owner).to_owned()).collect();
        let nobody = Named { owners: owners(&["a"]), own: None };
        let expected = "# HELP m Readings.\nm{protocol=\"http\",owner=\"a\",result=\"ok\"} 1\nm{protocol=\"http\",result=\"ok\"} 5\nb{owner=\"a\"} 1\nb 1\nplain 7\n# EOF\n";
        assert_eq!(discreet(text, &nobody), expected);
        let own = Named { owners: owners(&["a", "b"]), own: Some("b".into()) };
        assert!(discreet(text, &own).contains("b{owner=\"b\",broker=\"y\"} 1\n") && !discreet(text, &own).contains("\"c\""));
    }
}
