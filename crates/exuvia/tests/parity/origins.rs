//! Holds, for each object beyond the oracle's reach, the first step that leads out of that reach: how an object that the oracle has
//! holds it, or what holds it.
//! Never guesses: an object that no other holds is said to be a root's or a bare block's.

use std::collections::HashMap;
use std::sync::Arc;

use cpython::Heap;
use memory::Addr;
use snapshot::{Found, Objects};
use testbed::Truth;

use crate::look::Told;

/// What module `_hmac` calls its hash functions: a table of C structs holds one str for each from 3.14 on (Modules/hmacmodule.c,
/// `py_hmac_hinfo.display_name`).
const HMAC_NAMES: &[&str] =
    &["md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha3_224", "sha3_256", "sha3_384", "sha3_512", "blake2s", "blake2b"];

/// Address → "label of holder's type"; the smallest where there are several, so that it is the same every time.
pub(crate) fn origins(truth: &Truth, rows: &Objects, told: &HashMap<Addr, Told>, heap: &Heap<'_>) -> HashMap<Addr, Arc<str>> {
    let beyond: HashMap<Addr, Found> =
        rows.iter().filter(|row| truth.by_id(row.address.0).is_none()).map(|row| (row.address, row.state.found())).collect();
    let mut all = HashMap::new();
    let mut first: HashMap<Addr, String> = HashMap::new();
    for (at, told) in told {
        if !beyond.contains_key(at) {
            for (to, label) in told.held.iter().filter(|(to, _)| beyond.contains_key(to)) {
                offer(&mut first, *to, format!("{label} of {}", told.class));
            }
        }
    }
    spread(&mut all, first, &beyond, told);
    // What is left hangs off roots: first what no other of the rest holds, then all that remains (rings).
    let rest = |all: &HashMap<Addr, Arc<str>>| beyond.keys().filter(|at| !all.contains_key(at)).copied().collect::<Vec<_>>();
    let left = rest(&all);
    let held: std::collections::HashSet<Addr> = left.iter().flat_map(|at| told.get(at)).flat_map(|t| &t.held).map(|(to, _)| *to).collect();
    let text = |at: &Addr| heap.name(*at).filter(|_| heap.is_str(*at)).unwrap_or_default();
    let name = |at: &Addr| match beyond[at] {
        Found::Sweep if truth.minor() >= 14 && HMAC_NAMES.contains(&&*text(at)) => "a name in _hmac's table".to_owned(),
        Found::Sweep => "a block that nothing refers to".to_owned(),
        Found::List => "the collector's lists".to_owned(),
        Found::Root | Found::Reference => "a root".to_owned(),
    };
    spread(&mut all, left.iter().filter(|at| !held.contains(at)).map(|at| (*at, name(at))).collect(), &beyond, told);
    let rings = rest(&all).iter().map(|at| (*at, name(at))).collect();
    spread(&mut all, rings, &beyond, told);
    all
}

fn offer(names: &mut HashMap<Addr, String>, at: Addr, name: String) {
    let known = names.entry(at).or_insert_with(|| name.clone());
    if name < *known {
        *known = name;
    }
}

/// Breadth first: what a named object leads to gets its name, unless it has one.
fn spread(all: &mut HashMap<Addr, Arc<str>>, mut wave: HashMap<Addr, String>, beyond: &HashMap<Addr, Found>, told: &HashMap<Addr, Told>) {
    while !wave.is_empty() {
        let mut next = HashMap::new();
        all.extend(wave.iter().map(|(at, name)| (*at, Arc::from(name.as_str()))));
        for (at, name) in &wave {
            for (to, _) in told.get(at).iter().flat_map(|t| &t.held) {
                if beyond.contains_key(to) && !all.contains_key(to) {
                    offer(&mut next, *to, name.clone());
                }
            }
        }
        wave = next;
    }
}
