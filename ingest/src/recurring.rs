//! Names that come again and again, mostly in the same order: what follows what is remembered, so that most are found by looking once.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// So many are found by looking at each; most messages speak of one.
const FEW: usize = 8;

/// Numbers names from 0, in the order in which they first came.
pub(crate) struct Recurring<K> {
    /// Once they are more than a few.
    numbers: HashMap<K, usize>,
    /// Each name, and the number of the one that came after it last time.
    names: Vec<(K, usize)>,
    last: usize,
}

impl<K> Default for Recurring<K> {
    fn default() -> Self {
        Self { numbers: HashMap::new(), names: Vec::new(), last: 0 }
    }
}

impl<K: Hash + Eq + Clone> Recurring<K> {
    /// The number of a name that came before.
    pub(crate) fn number<Q: Hash + Eq + ?Sized>(&mut self, name: &Q) -> Option<usize>
    where
        K: Borrow<Q>,
    {
        let expected = self.names.get(self.last).map(|(_, next)| *next)?;
        let is_as_expected = self.names.get(expected).is_some_and(|(known, _)| known.borrow() == name);
        let number = match is_as_expected {
            true => expected,
            false if self.names.len() <= FEW => self.names.iter().position(|(known, _)| known.borrow() == name)?,
            false => *self.numbers.get(name)?,
        };
        self.follows(number);
        Some(number)
    }
    /// Gives a name that is new its number.
    pub(crate) fn add(&mut self, name: K) -> usize {
        let number = self.names.len();
        self.names.push((name.clone(), 0));
        if number == FEW {
            self.numbers = self.names.iter().enumerate().map(|(number, (name, _))| (name.clone(), number)).collect();
        } else if number > FEW {
            self.numbers.insert(name, number);
        }
        self.follows(number);
        number
    }
    fn follows(&mut self, number: usize) {
        if let Some((_, next)) = self.names.get_mut(self.last) {
            *next = number;
        }
        self.last = number;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_numbers_in_whatever_order_they_come() {
        let mut names: Recurring<String> = Recurring::default();
        let numbered: Vec<usize> = "abcabcaccbbadefghijklihabk"
            .chars()
            .map(|name| {
                let name = name.to_string();
                names.number(name.as_str()).unwrap_or_else(|| names.add(name))
            })
            .collect();
        assert_eq!(numbered, [0, 1, 2, 0, 1, 2, 0, 2, 2, 1, 1, 0, 3, 4, 5, 6, 7, 8, 9, 10, 11, 8, 7, 0, 1, 10]);
    }
}
