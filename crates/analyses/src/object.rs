//! `object`: what one object is, what it refers to, what refers to it, and how much of its count that explains.

use snapshot::{Inspected, Reference, References, Snapshot};

/// The object that the snapshot inspected, with at most `out` of its references and `held_by` of those to it.
pub fn object(snapshot: &Snapshot, out: Option<usize>, held_by: Option<usize>) -> Option<ObjectView<'_>> {
    let it = snapshot.inspected.as_ref()?;
    Some(ObjectView { it, account: account(it), out: front(&it.references_out, out), held_by: front(&it.references_in, held_by) })
}

/// The answer to `object`.
#[derive(Clone, Copy, Debug)]
pub struct ObjectView<'s> {
    /// The object.
    pub it: &'s Inspected,
    /// What its reference count says beside the references found.
    pub account: Account,
    /// References out, the first of them.
    pub out: &'s [Reference],
    /// References in, the first of them.
    pub held_by: &'s [Reference],
}

/// A reference count beside the references that were found: the check that comes free with CPython.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Account {
    /// It lives as long as the interpreter; its count means nothing.
    Immortal,
    /// Every reference is found.
    Whole,
    /// So many references are held from where we do not see: C code, a running function's stack.
    Outside(u64),
    /// So many more were found than it counts: the target was caught in between, or references are borrowed.
    Surplus(u64),
}

impl Account {
    /// The stable word of the JSON.
    pub fn word(self) -> &'static str {
        match self {
            Account::Immortal => "immortal",
            Account::Whole => "whole",
            Account::Outside(_) => "outside",
            Account::Surplus(_) => "surplus",
        }
    }
}

fn account(it: &Inspected) -> Account {
    match it.refcount.cmp(&it.explained_refs) {
        _ if it.state.immortal() => Account::Immortal,
        std::cmp::Ordering::Equal => Account::Whole,
        std::cmp::Ordering::Greater => Account::Outside(it.refcount - it.explained_refs),
        std::cmp::Ordering::Less => Account::Surplus(it.explained_refs - it.refcount),
    }
}

fn front(references: &References, limit: Option<usize>) -> &[Reference] {
    let n = limit.unwrap_or(usize::MAX).min(references.shown.len());
    references.shown.get(..n).unwrap_or(&[])
}

#[cfg(test)]
mod tests {
    use super::*;
    use memory::{Addr, Bytes};
    use snapshot::{Brief, Collector, Found, Holder, Known, Label, State};

    fn check(refcount: u64, explained_refs: u64, immortal: bool, wanted: Account) {
        let one = Reference { label: Label::Member, other: Holder::Root { name: "interned strings".into() }, certain: true };
        let inspected = Some(Inspected {
            address: Addr(0x1000),
            type_name: "str".into(),
            type_address: Addr(0x2000),
            brief: Brief::Nothing,
            own_bytes: Bytes(50),
            footprint_bytes: Bytes(64),
            known: Known::Exact,
            refcount,
            explained_refs,
            state: State::new(Collector::Without, Found::Root, immortal),
            references_out: References::default(),
            references_in: References { shown: vec![one.clone(), one], total: 2 },
        });
        let s = Snapshot { inspected, ..Snapshot::default() };
        let view = object(&s, Some(1), Some(1)).unwrap();
        assert_eq!((view.account, view.out.len(), view.held_by.len()), (wanted, 0, 1));
    }

    #[test]
    fn the_count_is_weighed_against_the_references_found() {
        check(3, 3, false, Account::Whole);
        check(5, 3, false, Account::Outside(2));
        check(3, 5, false, Account::Surplus(2));
        check(u64::MAX, 0, true, Account::Immortal);
        assert!(object(&Snapshot::default(), None, None).is_none());
    }
}
