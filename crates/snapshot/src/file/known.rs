//! The columns of facts of the table `objects`, in memory.

use super::decode::Table;
use crate::{Attributes, Form, KnownFacts, Shape, Sparse, Store};

/// The facts of all objects. A folder of an earlier program may lack columns: they are named. `types` is how many there are.
pub(crate) fn known(t: &Table, types: usize) -> Result<KnownFacts, String> {
    let mut missing = Vec::new();
    let mut facts = KnownFacts {
        shapes: shapes(t, &mut missing)?,
        lengths: numbers(t, "length", &mut missing)?,
        capacities: numbers(t, "capacity", &mut missing)?,
        used: numbers(t, "used", &mut missing)?,
        item_types: rows_of_types(t, "item_type", types, &mut missing)?,
        key_types: rows_of_types(t, "key_type", types, &mut missing)?,
        wide: numbers(t, "wide", &mut missing)?,
        encoded: numbers(t, "encoded", &mut missing)?,
        key_sets: numbers(t, "key_set", &mut missing)?,
        fingerprints: numbers(t, "fingerprint", &mut missing)?,
        missing: Vec::new(),
    };
    facts.missing = missing;
    Ok(facts)
}

fn numbers<S: Store>(t: &Table, column: &'static str, missing: &mut Vec<&'static str>) -> Result<Sparse<S>, String> {
    if !t.has(column) {
        missing.push(column);
        return Ok(std::iter::empty().collect());
    }
    Ok(t.optional_u64s(column)?.into_iter().collect())
}

fn rows_of_types<S: Store>(t: &Table, column: &'static str, types: usize, missing: &mut Vec<&'static str>) -> Result<Sparse<S>, String> {
    if !t.has(column) {
        missing.push(column);
        return Ok(std::iter::empty().collect());
    }
    let all = t.optional_u32s(column)?;
    if all.iter().flatten().any(|row| *row as usize >= types) {
        return Err(format!("column {column} names a type that is not there"));
    }
    Ok(all.into_iter().map(|row| row.map(u64::from)).collect())
}

fn shapes(t: &Table, missing: &mut Vec<&'static str>) -> Result<Vec<Shape>, String> {
    let rows = usize::try_from(t.rows()).map_err(|_| "more objects than are supported")?;
    let mut flags = |column: &'static str| -> Result<Vec<bool>, String> {
        if t.has(column) {
            return t.flags(column);
        }
        missing.push(column);
        Ok(vec![false; rows])
    };
    let (interned, weakly) = (flags("interned")?, flags("weakly_held")?);
    let mut words = |column: &'static str| -> Result<Vec<Option<Word>>, String> {
        if t.has(column) {
            return t.optional_words(column, Word::of);
        }
        missing.push(column);
        Ok(vec![None; rows])
    };
    let (forms, attributes) = (words("form")?, words("attributes")?);
    let columns = forms.into_iter().zip(attributes).zip(interned.into_iter().zip(weakly));
    let shape = |((form, attributes), (interned, weakly)): ((Option<Word>, Option<Word>), (bool, bool))| {
        let form = match form {
            None => None,
            Some(Word::Form(form)) => Some(form),
            Some(_) => return Err("an object has an unknown form"),
        };
        let attributes = match attributes {
            None => None,
            Some(Word::Attributes(attributes)) => Some(attributes),
            Some(_) => return Err("an object has its attributes in an unknown place"),
        };
        Ok(Shape::new(form, attributes, interned, weakly))
    };
    Ok(columns.map(shape).collect::<Result<Vec<Shape>, &str>>()?)
}

/// A word of the columns `form` and `attributes`, which have none in common.
#[derive(Clone, Copy)]
enum Word {
    Form(Form),
    Attributes(Attributes),
    Unknown,
}

impl Word {
    fn of(word: &[u8]) -> Word {
        let form = Form::ALL.iter().find(|form| form.word().as_bytes() == word).map(|form| Word::Form(*form));
        let place = || Attributes::ALL.iter().find(|place| place.word().as_bytes() == word).map(|place| Word::Attributes(*place));
        form.or_else(place).unwrap_or(Word::Unknown)
    }
}
