//! The keyword names that the binary form writes as numbers, from `words.txt`, which the Java half reads too.
//! It does not know what the words mean.

use std::sync::LazyLock;

static WORDS: LazyLock<Words> = LazyLock::new(|| Words::of(include_str!("words.txt")));

const SLOT_BITS: u32 = 10;
const FREE: u16 = u16::MAX;

struct Words {
    names: Vec<&'static str>,
    /// Numbers of words by hash, with linear probing; at most a quarter is in use.
    slots: Vec<u16>,
}

impl Words {
    fn of(text: &'static str) -> Words {
        let names: Vec<_> = text.lines().filter(|line| !line.is_empty() && !line.starts_with("# ")).collect();
        assert!(names.len() <= 128 + 256, "words have one-byte or two-byte numbers");
        let mut words = Words { slots: vec![FREE; 1 << SLOT_BITS], names };
        for (number, name) in words.names.iter().enumerate() {
            let mut slot = slot_of(name);
            while words.slots[slot] != FREE {
                slot = (slot + 1) % words.slots.len();
            }
            words.slots[slot] = number as u16;
        }
        words
    }

    fn number(&self, name: &str) -> Option<usize> {
        let mut slot = slot_of(name);
        loop {
            match self.slots[slot] {
                FREE => return None,
                number if self.names[number as usize] == name => return Some(number as usize),
                _ => slot = (slot + 1) % self.slots.len(),
            }
        }
    }
}

fn slot_of(name: &str) -> usize {
    let mut hash = name.len() as u64;
    for chunk in name.as_bytes().chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash = (hash.rotate_left(5) ^ u64::from_le_bytes(word)).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
    (hash >> (64 - SLOT_BITS)) as usize
}

/// The number of a word; nothing for a name that is none.
pub(super) fn number(name: &str) -> Option<usize> {
    WORDS.number(name)
}

/// The word of that number.
pub(super) fn name(number: usize) -> Option<&'static str> {
    WORDS.names.get(number).copied()
}

/// The name itself, without a copy where it is a word.
pub(super) fn intern(text: &str) -> super::Name {
    match number(text).and_then(name) {
        Some(word) => word.into(),
        None => text.to_owned().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_word_stands_once_and_is_found_by_its_number() {
        let mut seen = HashSet::new();
        for (index, word) in WORDS.names.iter().enumerate() {
            assert!(seen.insert(word), "{word} stands twice");
            assert_eq!(number(word), Some(index));
            assert_eq!(name(index), Some(*word));
        }
        assert_eq!(number("nobody-said-this"), None);
        assert_eq!(number(""), None);
    }

    #[test]
    fn the_first_words_keep_their_numbers() {
        assert_eq!((number("job-id"), number("status"), number("payload")), (Some(0), Some(2), Some(3)));
    }
}
