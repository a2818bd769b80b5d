//! Numbers, dates and packed data.
//!
//! Source: `Modules/_datetimemodule.c`, `Modules/_zoneinfo.c`, `Modules/_decimal/_decimal.c`, `Modules/_struct.c` of 3.8–3.13.

use super::{coded, plain, Basic, Kind, Row};

pub(super) const ROWS: &[Row] = &[
    plain(&["datetime.date"], "PyDateTime_Date", ""),
    plain(&["datetime.timedelta"], "PyDateTime_Delta", ""),
    plain(&["datetime.tzinfo"], "PyDateTime_TZInfo", ""),
    plain(&["datetime.timezone"], "PyDateTime_TimeZone", "-offset -name"),
    Row { extra: "hastzinfo tzinfo", ..coded(&["datetime.datetime"], "PyDateTime_DateTime", Kind::DateTime, "", Basic::Size) },
    Row { extra: "hastzinfo tzinfo", ..coded(&["datetime.time"], "PyDateTime_Time", Kind::DateTime, "", Basic::Size) },
    Row {
        extra: "num_transitions num_ttinfos trans_list_utc trans_list_wall trans_ttinfos _ttinfos",
        ..coded(
            &["zoneinfo.ZoneInfo"],
            "PyZoneInfo_ZoneInfo",
            Kind::ZoneInfo,
            "key -file_repr -tzrule_after.std.utcoff=std.utcoff -tzrule_after.std.dstoff=std.dstoff -tzrule_after.std.tzname=std.tzname \
             -tzrule_after.dst.utcoff=dst.utcoff -tzrule_after.dst.dstoff=dst.dstoff -tzrule_after.dst.tzname=dst.tzname",
            Basic::Size,
        )
    },
    Row { extra: "dec.flags dec.alloc dec.data", ..coded(&["decimal.Decimal"], "PyDecObject", Kind::Decimal, "", Basic::Size) },
    plain(&["decimal.Context"], "PyDecContextObject", "traps flags"),
    plain(&["decimal.ContextManager"], "PyDecContextManagerObject", "local global"),
    plain(&["decimal.SignalDictMixin"], "PyDecSignalDictObject", ""),
    Row { extra: "s_codes", ..coded(&["Struct", "_struct.Struct"], "PyStructObject", Kind::Struct, "s_format=format", Basic::Size) },
    plain(&["unpack_iterator", "_struct.unpack_iterator"], "unpackiterobject", "so=struct buf.obj=buffer"),
];
