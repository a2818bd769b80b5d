//! Struct layouts out of DWARF.
//!
//! Holds: the search for wanted structs in one ELF file's debug information, following typedefs, anonymous members and dotted
//! paths. Never: knows which file that is, or writes tables.
//! Sources: DWARF 5 standard, 5.7 (structure types) and 7.5 (references between units, which LTO and dwz make).

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use gimli::{AttributeValue, EndianSlice, LittleEndian, UnitOffset};
use object::{Object, ObjectSection};

use super::wanted::{WantedField, WantedStruct};
use crate::trouble::{Doing, Done, Trouble};

/// Where a field lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Bytes from the start of the struct.
    pub(crate) offset: u64,
    /// Bytes that it takes, where that was asked for.
    pub(crate) size: Option<u64>,
}

/// One struct as one build has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Layout {
    /// `sizeof`.
    pub(crate) size: u64,
    /// Wanted fields that this build has, by the name in the table.
    pub(crate) fields: BTreeMap<String, Place>,
}

/// A layout and where it was seen.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// The struct's name in the table.
    pub(crate) name: String,
    /// Which of its names it went by: the lower is preferred.
    pub(crate) rank: usize,
    /// The compilation unit's source file.
    pub(crate) file: String,
    /// What it looks like there.
    pub(crate) layout: Layout,
}

/// One member as the compiler wrote it, for `--show`.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// Dotted name; anonymous members are looked through.
    pub(crate) name: String,
    /// Where.
    pub(crate) place: Place,
    /// Its type in words.
    pub(crate) type_name: String,
    /// Whether it is a bit field: such a field has no offset of its own to ask for.
    pub(crate) is_bits: bool,
}

type Slice<'data> = EndianSlice<'data, LittleEndian>;
type Unit<'data> = gimli::Unit<Slice<'data>>;
type At = (usize, UnitOffset);

/// Links of typedefs, and levels of nested structs, that are followed before the file is called broken.
const DEPTH_MAX: usize = 64;

/// Every wanted struct of the file at `path`, once for each compilation unit that defines it. No debug information: an empty list.
pub(crate) fn search(path: &Path, wanted: &[WantedStruct]) -> Done<Vec<Seen>> {
    with_info(path, |info| {
        let mut by_name: HashMap<&str, Vec<(usize, &WantedStruct)>> = HashMap::new();
        for one in wanted {
            for (rank, name) in one.names.iter().enumerate() {
                by_name.entry(&name.name).or_default().push((rank, one));
            }
        }
        let mut seen = Vec::new();
        info.each_struct(|file, name, at| {
            for (rank, one) in by_name.get(name).into_iter().flatten() {
                let hint = one.names.get(*rank).and_then(|name| name.file.as_deref());
                if hint.is_some_and(|hint| !file.ends_with(hint)) {
                    continue;
                }
                let layout = info.layout(at, &one.fields).doing(format_args!("{} in {file}", one.name()))?;
                seen.push(Seen { name: one.name().to_owned(), rank: *rank, file: file.to_owned(), layout });
            }
            Ok(())
        })?;
        Ok(seen)
    })
}

/// All members of the struct `name` in each compilation unit of the file at `path` where they differ.
pub(crate) fn members(path: &Path, name: &str) -> Done<Vec<(String, u64, Vec<Member>)>> {
    with_info(path, |info| {
        let mut found: Vec<(String, u64, Vec<Member>)> = Vec::new();
        info.each_struct(|file, seen, at| {
            if seen == name {
                let mut all = Vec::new();
                info.list(at, "", 0, 0, &mut all)?;
                let size = info.size(at)?;
                let same = |(_, other_size, other): &(String, u64, Vec<Member>)| {
                    *other_size == size && other.iter().map(|m| (&m.name, m.place.offset)).eq(all.iter().map(|m| (&m.name, m.place.offset)))
                };
                if !found.iter().any(same) {
                    found.push((file.to_owned(), size, all));
                }
            }
            Ok(())
        })?;
        Ok(found)
    })
}

fn with_info<T>(path: &Path, read: impl FnOnce(&Info<'_>) -> Done<T>) -> Done<T> {
    let bytes = std::fs::read(path).doing(path.display())?;
    let file = object::File::parse(bytes.as_slice()).doing(path.display())?;
    let section = |id: gimli::SectionId| -> Done<Cow<'_, [u8]>> {
        match file.section_by_name(id.name()) {
            Some(section) => section.uncompressed_data().doing(id.name()),
            None => Ok(Cow::Borrowed(&[][..])),
        }
    };
    let sections = gimli::DwarfSections::load(section)?;
    let dwarf = sections.borrow(|bytes| EndianSlice::new(bytes, LittleEndian));
    let info = Info::open(&dwarf).doing(path.display())?;
    read(&info)
}

struct Info<'data> {
    dwarf: &'data gimli::Dwarf<Slice<'data>>,
    /// In the order of their offsets, which references between units rely on.
    units: Vec<Unit<'data>>,
}

impl<'data> Info<'data> {
    fn open(dwarf: &'data gimli::Dwarf<Slice<'data>>) -> gimli::Result<Self> {
        let mut units = Vec::new();
        let mut headers = dwarf.units();
        while let Some(header) = headers.next()? {
            units.push(dwarf.unit(header)?);
        }
        Ok(Info { dwarf, units })
    }

    /// Calls `take` with (source file, name, place) of every named struct or union that is defined here, under its tag and its typedefs.
    fn each_struct(&self, mut take: impl FnMut(&str, &str, At) -> Done<()>) -> Done<()> {
        for (index, unit) in self.units.iter().enumerate() {
            let file = unit.name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            // The test suite's own modules define structs of their own under known names.
            let module = file.rsplit('/').next().unwrap_or("");
            if ["_test", "_xx", "xx"].iter().any(|prefix| module.starts_with(prefix)) || file.contains("/_test") {
                continue;
            }
            let mut tree = unit.entries_tree(None).doing(&file)?;
            let root = tree.root().doing(&file)?;
            let mut children = root.children();
            while let Some(child) = children.next().doing(&file)? {
                let entry = child.entry();
                if !matches!(entry.tag(), gimli::DW_TAG_structure_type | gimli::DW_TAG_union_type | gimli::DW_TAG_typedef) {
                    continue;
                }
                let Some(name) = self.name(unit, entry)? else { continue };
                if let Some(at) = self.composite((index, entry.offset()))? {
                    take(&file, &name, at)?;
                }
            }
        }
        Ok(())
    }

    fn layout(&self, at: At, fields: &[WantedField]) -> Done<Layout> {
        let mut layout = Layout { size: self.size(at)?, fields: BTreeMap::new() };
        for field in fields {
            for path in &field.paths {
                if let Some(place) = self.find(at, path)? {
                    layout.fields.insert(field.name().to_owned(), place);
                    break;
                }
            }
        }
        Ok(layout)
    }

    fn find(&self, mut at: At, path: &str) -> Done<Option<Place>> {
        let mut offset = 0;
        let mut size = 0;
        for (step, name) in path.split('.').enumerate() {
            if step > 0 {
                match self.composite(at)? {
                    Some(inner) => at = inner,
                    None => return Ok(None),
                }
            }
            let Some(hit) = self.member(at, name, 0)? else { return Ok(None) };
            if hit.is_bits {
                return Err(Trouble::new(format!("{path} is a bit field: ask for the field before or after it")));
            }
            offset += hit.offset;
            at = hit.at;
            size = self.size(at)?;
        }
        Ok(Some(Place { offset, size: Some(size) }))
    }

    /// The member `name` of a struct, also inside anonymous members.
    fn member(&self, at: At, name: &str, depth: usize) -> Done<Option<Raw>> {
        if depth > DEPTH_MAX {
            return Err(Trouble::new("structs nested deeper than any compiler writes"));
        }
        for raw in self.raw_members(at)? {
            match &raw.name {
                Some(own) if own == name => return Ok(Some(raw)),
                Some(_) => {}
                None => {
                    if let Some(inner) = self.composite(raw.at)? {
                        if let Some(hit) = self.member(inner, name, depth + 1)? {
                            return Ok(Some(Raw { offset: raw.offset + hit.offset, ..hit }));
                        }
                    }
                }
            }
        }
        Ok(None)
    }

    fn list(&self, at: At, prefix: &str, base: u64, depth: usize, into: &mut Vec<Member>) -> Done<()> {
        if depth > DEPTH_MAX {
            return Err(Trouble::new("structs nested deeper than any compiler writes"));
        }
        for raw in self.raw_members(at)? {
            let place = Place { offset: base + raw.offset, size: Some(self.size(raw.at)?) };
            let inner = self.composite(raw.at)?;
            let name = match &raw.name {
                Some(own) => format!("{prefix}{own}"),
                None => String::new(),
            };
            if !name.is_empty() {
                into.push(Member { name: name.clone(), place, type_name: self.type_name(raw.at)?, is_bits: raw.is_bits });
            }
            if let Some(inner) = inner {
                let prefix = if name.is_empty() { prefix.to_owned() } else { format!("{name}.") };
                self.list(inner, &prefix, place.offset, depth + 1, into)?;
            }
        }
        Ok(())
    }

    fn raw_members(&self, at: At) -> Done<Vec<Raw>> {
        let unit = self.unit(at)?;
        let mut tree = unit.entries_tree(Some(at.1)).doing("struct")?;
        let root = tree.root().doing("struct")?;
        let mut children = root.children();
        let mut raws = Vec::new();
        while let Some(child) = children.next().doing("member")? {
            let entry = child.entry();
            if entry.tag() != gimli::DW_TAG_member {
                continue;
            }
            let number = |name| entry.attr_value(name).doing("member").map(|value| value.and_then(|value| value.udata_value()));
            let bits = number(gimli::DW_AT_data_bit_offset)?;
            let offset = match (number(gimli::DW_AT_data_member_location)?, bits) {
                (Some(offset), _) => offset,
                (None, Some(bits)) => bits / 8,
                (None, None) => 0,
            };
            let Some(ty) = self.reference(at.0, entry.attr_value(gimli::DW_AT_type).doing("member")?)? else { continue };
            let is_bits = bits.is_some() || number(gimli::DW_AT_bit_size)?.is_some();
            raws.push(Raw { name: self.name(unit, entry)?, offset, at: ty, is_bits });
        }
        Ok(raws)
    }

    /// The struct or union that a type is, through typedefs and qualifiers; a mere declaration is none.
    fn composite(&self, at: At) -> Done<Option<At>> {
        let at = self.bare(at)?;
        let Some(at) = at else { return Ok(None) };
        let entry = self.unit(at)?.entry(at.1).doing("type")?;
        let is_composite = matches!(entry.tag(), gimli::DW_TAG_structure_type | gimli::DW_TAG_union_type);
        let is_declared_only = entry.attr_value(gimli::DW_AT_declaration).doing("type")?.is_some();
        Ok((is_composite && !is_declared_only).then_some(at))
    }

    /// A type without its typedefs and qualifiers; `None` is void.
    fn bare(&self, mut at: At) -> Done<Option<At>> {
        for _ in 0..DEPTH_MAX {
            let entry = self.unit(at)?.entry(at.1).doing("type")?;
            match entry.tag() {
                gimli::DW_TAG_typedef | gimli::DW_TAG_const_type | gimli::DW_TAG_volatile_type | gimli::DW_TAG_atomic_type => {
                    match self.reference(at.0, entry.attr_value(gimli::DW_AT_type).doing("type")?)? {
                        Some(next) => at = next,
                        None => return Ok(None),
                    }
                }
                _ => return Ok(Some(at)),
            }
        }
        Err(Trouble::new("a typedef that never ends"))
    }

    fn size(&self, at: At) -> Done<u64> {
        let mut factor = 1;
        let mut at = at;
        for _ in 0..DEPTH_MAX {
            let Some(bare) = self.bare(at)? else { return Ok(0) };
            let unit = self.unit(bare)?;
            let entry = unit.entry(bare.1).doing("type")?;
            if let Some(size) = entry.attr_value(gimli::DW_AT_byte_size).doing("type")?.and_then(|value| value.udata_value()) {
                return Ok(factor * size);
            }
            match entry.tag() {
                gimli::DW_TAG_pointer_type => return Ok(factor * u64::from(unit.encoding().address_size)),
                gimli::DW_TAG_array_type => {
                    factor *= self.elements(bare)?;
                    match self.reference(bare.0, entry.attr_value(gimli::DW_AT_type).doing("array")?)? {
                        Some(next) => at = next,
                        None => return Ok(0),
                    }
                }
                _ => return Ok(0),
            }
        }
        Err(Trouble::new("an array that never ends"))
    }

    fn elements(&self, array: At) -> Done<u64> {
        let mut tree = self.unit(array)?.entries_tree(Some(array.1)).doing("array")?;
        let root = tree.root().doing("array")?;
        let mut children = root.children();
        let mut count = 1;
        while let Some(child) = children.next().doing("array")? {
            let number = |name| child.entry().attr_value(name).doing("array").map(|value| value.and_then(|value| value.udata_value()));
            count *= match (number(gimli::DW_AT_count)?, number(gimli::DW_AT_upper_bound)?) {
                (Some(count), _) => count,
                // -1 is how some compilers write `[]`.
                (None, Some(last)) => last.wrapping_add(1),
                (None, None) => 0,
            };
        }
        Ok(count)
    }

    fn type_name(&self, at: At) -> Done<String> {
        let mut stars = String::new();
        let mut at = at;
        for _ in 0..DEPTH_MAX {
            let unit = self.unit(at)?;
            let entry = unit.entry(at.1).doing("type")?;
            if let Some(name) = self.name(unit, &entry)? {
                return Ok(name + &stars);
            }
            match entry.tag() {
                gimli::DW_TAG_pointer_type => stars.insert(0, '*'),
                gimli::DW_TAG_array_type => stars.push_str(&format!("[{}]", self.elements(at)?)),
                gimli::DW_TAG_subroutine_type => return Ok(format!("function{stars}")),
                gimli::DW_TAG_const_type | gimli::DW_TAG_volatile_type | gimli::DW_TAG_atomic_type => {}
                _ => return Ok(format!("struct{stars}")),
            }
            match self.reference(at.0, entry.attr_value(gimli::DW_AT_type).doing("type")?)? {
                Some(next) => at = next,
                None => return Ok(format!("void{stars}")),
            }
        }
        Ok(format!("?{stars}"))
    }

    fn name(&self, unit: &Unit<'data>, entry: &gimli::DebuggingInformationEntry<'_, '_, Slice<'data>>) -> Done<Option<String>> {
        match entry.attr_value(gimli::DW_AT_name).doing("name")? {
            None => Ok(None),
            Some(value) => Ok(Some(self.dwarf.attr_string(unit, value).doing("name")?.to_string_lossy().into_owned())),
        }
    }

    fn unit(&self, at: At) -> Done<&Unit<'data>> {
        self.units.get(at.0).ok_or_else(|| Trouble::new("a reference to no unit"))
    }

    fn reference(&self, unit: usize, value: Option<AttributeValue<Slice<'data>>>) -> Done<Option<At>> {
        match value {
            None => Ok(None),
            Some(AttributeValue::UnitRef(offset)) => Ok(Some((unit, offset))),
            Some(AttributeValue::DebugInfoRef(offset)) => {
                let start = |unit: &Unit<'data>| unit.header.offset().as_debug_info_offset().map_or(0, |offset| offset.0);
                let index = self.units.partition_point(|unit| start(unit) <= offset.0).saturating_sub(1);
                let unit = self.unit((index, UnitOffset(0)))?;
                let local = offset.to_unit_offset(&unit.header).ok_or_else(|| Trouble::new("a reference outside its unit"))?;
                Ok(Some((index, local)))
            }
            Some(other) => Err(Trouble::new(format!("a kind of reference that is not read here: {other:?}"))),
        }
    }
}

struct Raw {
    name: Option<String>,
    offset: u64,
    at: At,
    is_bits: bool,
}
