//! Fingerprints: a keyed 64-bit number for a value, the same for equal values in every process and release, by which nobody who
//! lacks the key learns anything of it.
//!
//! Holds: [`FingerprintKey`] and the function, SipHash-2-4 (Aumasson and Bernstein, 2012). Each kind of value has a key of its own, made
//! of the user's, so that no str has the number of an int.
//! Never: writes a key, or shows one.

use cpython::heap::TypeCache;
use cpython::objects::Content;
use cpython::{Heap, Obj};
use memory::Addr;
use siphasher::sip::SipHasher24;

/// Most items of a tuple, with those of the tuples in it, that are looked at.
const ITEMS_MOST: usize = 1024;
/// Deepest tuple in tuples.
const DEPTH_MOST: usize = 8;
/// Items and keys that were met lately: the same few strs are the keys of most dicts.
const RECENT: usize = 4096;

/// The key of all fingerprints of a snapshot.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FingerprintKey(pub [u8; 16]);

impl std::fmt::Debug for FingerprintKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FingerprintKey(…)")
    }
}

impl FingerprintKey {
    /// A number that is the same for the same key, and says nothing of it.
    pub fn id(self) -> u64 {
        SipHasher24::new_with_key(&self.0).hash(b"exuvia key id")
    }

    /// The function for one kind of values.
    fn of(self, kind: &str) -> SipHasher24 {
        let main = SipHasher24::new_with_key(&self.0);
        let half = |n: u8| main.hash(&[&[n], kind.as_bytes()].concat()).to_le_bytes();
        let mut key = [0; 16];
        for (to, from) in key.iter_mut().zip(half(1).into_iter().chain(half(2))) {
            *to = from;
        }
        SipHasher24::new_with_key(&key)
    }
}

/// The functions of all kinds.
#[derive(Clone)]
struct Functions {
    text: SipHasher24,
    bytes: SipHasher24,
    int: SipHasher24,
    float: SipHasher24,
    complex: SipHasher24,
    single: SipHasher24,
    tuple: SipHasher24,
    keys: SipHasher24,
    address: SipHasher24,
}

impl Functions {
    fn new(key: FingerprintKey) -> Functions {
        Functions {
            text: key.of("str"),
            bytes: key.of("bytes"),
            int: key.of("int"),
            float: key.of("float"),
            complex: key.of("complex"),
            single: key.of("single"),
            tuple: key.of("tuple"),
            keys: key.of("keys"),
            address: key.of("address"),
        }
    }

    /// The number of a value that holds no others.
    fn of(&self, content: &Content<'_>) -> Option<u64> {
        Some(match content {
            Content::Str(b) => self.text.hash(b),
            Content::Bytes(b) => self.bytes.hash(b),
            Content::Int(b) => self.int.hash(b),
            Content::Float(b) => self.float.hash(b),
            Content::Complex(b) => self.complex.hash(b),
            Content::Single(b) => self.single.hash(b),
            Content::Tuple(_) => return None,
        })
    }
}

/// One thread's fingerprints of objects.
pub(crate) struct Fingerprints<'h, 'm> {
    heap: &'h Heap<'m>,
    types: TypeCache<'h, 'm>,
    functions: Functions,
    buffer: Vec<u8>,
    recent: Vec<(Addr, Option<u64>)>,
}

/// A tuple whose items are being looked at.
struct Open<'m> {
    items: std::slice::ChunksExact<'m, u8>,
    numbers: Vec<u8>,
}

impl<'m> Open<'m> {
    fn new(words: &'m [u8]) -> Open<'m> {
        Open { items: words.chunks_exact(8), numbers: Vec::with_capacity(words.len().min(64)) }
    }
}

/// What an item of a tuple is.
enum Item<'m> {
    Number(u64),
    Tuple(&'m [u8]),
}

impl<'h, 'm> Fingerprints<'h, 'm> {
    pub(crate) fn new(heap: &'h Heap<'m>, key: FingerprintKey) -> Self {
        Fingerprints {
            heap,
            types: TypeCache::new(heap),
            functions: Functions::new(key),
            buffer: Vec::new(),
            recent: vec![(Addr::NULL, None); RECENT],
        }
    }

    /// The fingerprint that is kept of an object: none of what the interpreter has one object for anyway.
    pub(crate) fn of(&mut self, o: &Obj<'m>, t: &cpython::types::TypeInfo) -> Option<u64> {
        match self.heap.content(o, t, &mut self.buffer)? {
            Content::Tuple(_) => {
                let words = tuple_items(self.heap, o)?;
                self.tuple(words)
            }
            content if content.is_shared() => None,
            content => self.functions.of(&content),
        }
    }

    /// The UTF-8 of the str that the last number was made of, where it is not kept as such.
    pub(crate) fn last_text(&self) -> &[u8] {
        &self.buffer
    }

    /// The number of a dict's keys and their order: a key is known by its value, or else by its address.
    pub(crate) fn key_set(&mut self, keys: &[Addr]) -> u64 {
        let mut numbers = Vec::with_capacity(keys.len() * 8);
        for key in keys {
            let number = self.at(*key).unwrap_or_else(|| self.functions.address.hash(&key.0.to_le_bytes()));
            numbers.extend_from_slice(&number.to_le_bytes());
        }
        self.functions.keys.hash(&numbers)
    }

    /// The number of the value at an address, shared or not.
    fn at(&mut self, at: Addr) -> Option<u64> {
        let place = (at.0 >> 4) as usize % RECENT;
        if let Some((_, known)) = self.recent.get(place).filter(|r| r.0 == at) {
            return *known;
        }
        let number = match self.item(at) {
            Some(Item::Number(n)) => Some(n),
            Some(Item::Tuple(words)) => self.tuple(words),
            None => None,
        };
        if let Some(slot) = self.recent.get_mut(place) {
            *slot = (at, number);
        }
        number
    }

    fn item(&mut self, at: Addr) -> Option<Item<'m>> {
        let o = self.heap.obj(at).ok()?;
        let t = self.types.lend(o.ty().ok()?)?;
        let item = match self.heap.content(&o, &t, &mut self.buffer) {
            Some(Content::Tuple(_)) => tuple_items(self.heap, &o).map(Item::Tuple),
            Some(content) => self.functions.of(&content).map(Item::Number),
            None => None,
        };
        self.types.give_back(t);
        item
    }

    /// The number of a tuple: of the numbers of its items. `None` where one has none, or they are too many.
    fn tuple(&mut self, words: &'m [u8]) -> Option<u64> {
        let mut left = ITEMS_MOST;
        let mut open = vec![Open::new(words)];
        loop {
            let last = open.last_mut()?;
            let number = match last.items.next() {
                Some(word) => {
                    left = left.checked_sub(1)?;
                    let at = Addr(u64::from_le_bytes(word.try_into().ok()?));
                    match self.item(at)? {
                        Item::Number(n) => n,
                        Item::Tuple(words) if open.len() < DEPTH_MOST => {
                            open.push(Open::new(words));
                            continue;
                        }
                        Item::Tuple(_) => return None,
                    }
                }
                None => {
                    let done = open.pop()?;
                    let number = self.functions.tuple.hash(&done.numbers);
                    if open.is_empty() {
                        return Some(number);
                    }
                    number
                }
            };
            open.last_mut()?.numbers.extend_from_slice(&number.to_le_bytes());
        }
    }
}

/// The words of a tuple's items.
fn tuple_items<'m>(heap: &Heap<'m>, o: &Obj<'m>) -> Option<&'m [u8]> {
    let n = u64::try_from(o.size().ok()?).ok()?;
    o.bytes(heap.layout.at.tuple.ob_item, n.checked_mul(8)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_function_is_siphash_2_4() {
        // The first two vectors of its authors' reference (vectors.h): key 00 01 … 0f, of nothing and of one byte 0.
        let key: [u8; 16] = std::array::from_fn(|i| i as u8);
        let f = SipHasher24::new_with_key(&key);
        assert_eq!((f.hash(&[]), f.hash(&[0])), (0x726f_db47_dd0e_0e31, 0x74f8_39c5_93dc_67fd));
    }

    #[test]
    fn kinds_and_keys_differ_and_a_key_is_not_shown() {
        let key = FingerprintKey([7; 16]);
        let f = Functions::new(key);
        let all = [f.of(&Content::Str(b"a")), f.of(&Content::Bytes(b"a")), f.of(&Content::Int(b"a")), f.of(&Content::Single(b"a"))];
        for (i, a) in all.iter().enumerate() {
            assert!(all.iter().skip(i + 1).all(|b| a != b));
        }
        let other = Functions::new(FingerprintKey([8; 16]));
        assert_ne!(f.of(&Content::Str(b"a")), other.of(&Content::Str(b"a")));
        assert_eq!(f.of(&Content::Str(b"a")), Functions::new(key).of(&Content::Str(b"a")));
        assert_ne!(key.id(), FingerprintKey([8; 16]).id());
        assert!(!format!("{key:?}").contains('7'));
    }
}
