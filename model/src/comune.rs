//! The comuni of Tuscany by their ISTAT code, so that a place is found by its name.

/// ISTAT code, name and province, tab-separated; `data/comuni.py` makes it and names the source.
const TABLE: &str = include_str!("../data/comuni.tsv");

/// A comune of Tuscany.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Comune {
    pub name: &'static str,
    /// The two letters of its province.
    pub province: &'static str,
}

impl Comune {
    /// The comune with an ISTAT code of six digits; `None` for codes outside Tuscany, and for comuni that had merged before 2023.
    #[must_use]
    pub fn of_code(code: &str) -> Option<Self> {
        let lines = TABLE.lines().filter(|line| !line.starts_with('#'));
        let mut found = lines.filter_map(|line| {
            let mut cells = line.split('\t');
            (cells.next()? == code).then_some(())?;
            Some(Self { name: cells.next()?, province: cells.next()? })
        });
        found.next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_its_name_and_province() {
        assert_eq!(Comune::of_code("100006"), Some(Comune { name: "Vaiano", province: "PO" }));
        assert_eq!(Comune::of_code("048006").map(|comune| comune.name), Some("Campi Bisenzio"));
        assert_eq!(Comune::of_code("48006"), None);
        assert_eq!(Comune::of_code("# Comuni"), None);
    }

    #[test]
    fn every_comune_of_tuscany_is_there() {
        let rows = TABLE.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(rows, 273);
    }
}
