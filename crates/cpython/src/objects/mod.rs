//! How objects are read: one file per built-in type that needs code, rows of a table for those whose fields say all.
//!
//! Holds: [`Kind`], [`Decoder`], the [`Catalogue`], and the one door [`Heap::decode`].
//! Never: a version; what differs between releases is a rule or an offset of the layout.

mod array;
mod bytes;
mod capsule;
mod catalogue;
mod code;
mod content;
mod ctypes;
mod cython_function;
mod datetime;
mod decimal;
mod deque;
pub mod dict;
mod element;
mod form;
pub mod frame;
mod generator;
mod instance;
mod int;
mod list;
mod lru_cache;
mod module;
mod nd_array;
mod numpy_method;
mod odict;
mod parts;
mod pickler;
mod room;
mod rows;
mod set;
mod sqlite_cache;
mod str;
mod struct_object;
mod template;
mod tuple;
mod type_object;
mod zone_info;

use memory::{Addr, Fault};

pub use catalogue::{Array, Block, Catalogue, Count, CythonForm, Decoder, FieldRow, Kind, Told};
pub use content::Content;
pub use form::{Attributes, Form};
pub use room::Room;

use crate::heap::{Heap, Obj};
use crate::layout::rules::StaticTypes;
use crate::layout::Fields;
use crate::types::TypeInfo;
use crate::visit::{Label, Torn, Visitor};

/// From here on a size is compared with the memory that is there; smaller lies cost less than the look.
const LARGE: u64 = 64 << 10;
/// No object is larger, not even with data that is not in the image (an array of which no page was touched).
const OWN_BOUND: u64 = 1 << 46;

impl Heap<'_> {
    /// Reads the object `o` of type `t`: tells `v` what it refers to and owns, and gives its own size: exactly what
    /// `sys.getsizeof` says in that interpreter, in bytes.
    ///
    /// # Errors
    /// A [`Fault`] where a part that must be there is not in the image; what was told before it stands.
    #[inline]
    pub fn decode<V: Visitor>(&self, o: &Obj<'_>, t: &TypeInfo, v: &mut V) -> Result<u64, Fault> {
        let d = &*t.decoder;
        for field in &d.fields {
            field.told.tell(v, o.addr(field.offset)?, Label::Field(field.name));
        }
        let mut own = match d.kind {
            Kind::Plain => self.default_size(o, t, v)?,
            Kind::Opaque => instance::opaque(self, o, t, v)?,
            Kind::Tuple => tuple::decode(self, o, t, v)?,
            Kind::List => list::decode(self, o, t, v)?,
            Kind::Dict => dict::decode(self, o, t, v)?,
            Kind::OrderedDict => odict::decode(self, o, t, v)?,
            Kind::Set => set::decode(self, o, t, v)?,
            Kind::Str => str::decode(self, o, t, v)?,
            Kind::Int => {
                let own = int::decode(self, o, t)?;
                self.inline(o, own, t.basic, v)
            }
            Kind::ByteArray => bytes::bytearray(self, o, t, v)?,
            Kind::Type => type_object::decode(self, o, t, v)?,
            Kind::Code => code::decode(self, o, t, v)?,
            Kind::Frame => frame::decode(self, o, t, v)?,
            Kind::Generator => generator::decode(self, o, t, v)?,
            Kind::Module => module::decode(self, o, t, v)?,
            Kind::Weakref => {
                let target = o.addr(self.layout.at.weakref.wr_object)?;
                v.weak(target, Label::Field("target"));
                self.default_size(o, t, v)?
            }
            Kind::Capsule => capsule::decode(self, o, t, v)?,
            Kind::Deque => deque::decode(self, o, t, v)?,
            Kind::Array => array::decode(self, o, t, v)?,
            Kind::BytesIo => bytes::bytes_io(self, o, t, v)?,
            Kind::LruCache => lru_cache::decode(self, o, t, v)?,
            Kind::Struct => struct_object::decode(self, o, t, v)?,
            Kind::Decimal => decimal::decode(self, o, t, v)?,
            Kind::DateTime => datetime::decode(self, o, t, v)?,
            Kind::ZoneInfo => zone_info::decode(self, o, t, v)?,
            Kind::Pickler => pickler::decode(self, o, t, v)?,
            Kind::Unpickler => pickler::unpickler(self, o, t, v)?,
            Kind::SqliteCache => sqlite_cache::decode(self, o, t, v)?,
            Kind::Element => element::decode(self, o, t, v)?,
            Kind::ElementIter => element::iterator(self, o, t, v)?,
            Kind::Template => template::decode(self, o, t, v)?,
            Kind::StgDict => ctypes::stg_dict(self, o, t, v)?,
            Kind::CtypesType => ctypes::class(self, o, t, v)?,
            Kind::CData => ctypes::instance(self, o, t, v)?,
            Kind::NdArray => nd_array::decode(self, o, t, v)?,
            Kind::NumpyMethod => numpy_method::decode(self, o, t, v)?,
            Kind::CythonFunction(forms) => cython_function::decode(self, o, t, forms, v)?,
            Kind::NumpyScalar(bytes) => self.default_size(o, t, v)? + u64::from(bytes),
        };
        if d.has_parts() {
            own += parts::tell(self, o, d, v)?;
        }
        instance::layers(self, o, t, v)?;
        if own > OWN_BOUND {
            v.torn(Torn::Size);
            own = t.basic;
        }
        Ok(own + self.counted_pre_header(o, t)?)
    }

    /// What an object takes whose items stand in its own body: `own`, or, where the memory ends before it does, the `least` of its type.
    /// One size that was overwritten would be more than all that is there, and no sum worth anything.
    #[inline]
    pub(crate) fn inline<V: Visitor>(&self, o: &Obj<'_>, own: u64, least: u64, v: &mut V) -> u64 {
        if own <= LARGE || o.bytes(0, own).is_ok() {
            return own;
        }
        v.torn(Torn::Impossible);
        least
    }

    /// Tells of a block that an object owns, where the memory holds that much; else `false`, and that it is impossible.
    #[inline]
    pub(crate) fn owned_block<V: Visitor>(&self, at: Addr, bytes: u64, v: &mut V) -> bool {
        if bytes > LARGE && self.image.slice(at, bytes as usize).is_err() {
            v.torn(Torn::Impossible);
            return false;
        }
        v.owns(at, bytes);
        true
    }

    /// `object.__sizeof__`: basic size and items, as far as [`Heap::inline`] believes in so many.
    #[inline]
    pub(crate) fn default_size<V: Visitor>(&self, o: &Obj<'_>, t: &TypeInfo, v: &mut V) -> Result<u64, Fault> {
        if t.item == 0 {
            return Ok(t.basic);
        }
        let own = t.basic.saturating_add(o.size()?.unsigned_abs().saturating_mul(t.item));
        Ok(self.inline(o, own, t.basic, v))
    }

    /// What `sys.getsizeof` adds to `__sizeof__` for the words before the object.
    #[inline]
    fn counted_pre_header(&self, o: &Obj<'_>, t: &TypeInfo) -> Result<u64, Fault> {
        if t.is_metatype() && !self.is_heap_type(o)? {
            return Ok(match self.layout.rules.static_types {
                StaticTypes::Without => 0,
                StaticTypes::WithoutUnderType if t.addr == self.type_type => 0,
                StaticTypes::With | StaticTypes::WithoutUnderType => t.pre,
            });
        }
        Ok(t.pre)
    }

    /// Whether the type object `o` is allocated on the heap.
    #[inline]
    pub fn is_heap_type(&self, o: &Obj<'_>) -> Result<bool, Fault> {
        Ok(o.u64(self.layout.at.ty.tp_flags as i64)? & crate::types::flags::HEAPTYPE != 0)
    }

    /// Bytes really before the object in its block: none for static types, although their class is collected.
    #[inline]
    pub fn pre_header(&self, o: &Obj<'_>, t: &TypeInfo) -> u64 {
        if t.is_metatype() && !self.is_heap_type(o).unwrap_or(true) {
            return 0;
        }
        t.pre
    }

    /// The least that an instance of a type takes. Compact strs and naive datetimes, alone of all objects, are smaller
    /// than `tp_basicsize`.
    pub fn least_bytes(&self, t: &TypeInfo) -> u64 {
        match (t.decoder.kind, &*t.decoder.extra) {
            (Kind::Str, _) => self.layout.at.ascii.size.min(t.basic),
            (Kind::DateTime, &[_, tzinfo]) => tzinfo.min(t.basic),
            _ => t.basic,
        }
    }

    /// Offset of the collector's head from the object.
    pub const GC_HEAD_OFFSET: i64 = -(Fields::GC_HEAD as i64);
}
