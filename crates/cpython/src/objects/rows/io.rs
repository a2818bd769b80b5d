//! Files and streams in memory.
//!
//! Source: `Modules/_io/*.c`, `Modules/mmapmodule.c` of 3.8–3.13. The types of `_io` became heap types in 3.12 (gh-101948), and
//! visit more since.

use super::{coded, owning, plain, Basic, Kind, Row};

pub(super) const ROWS: &[Row] = &[
    Row { extra: "buf", ..coded(&["_io.BytesIO"], "bytesio", Kind::BytesIo, "dict=__dict__ ^buf", Basic::Size) },
    plain(&["_io._BytesIOBuffer"], "bytesiobuf", "source"),
    owning(
        &["_io.StringIO"],
        "stringio",
        "dict=__dict__ ^readnl ^writenl ^decoder -accu.large=large -accu.small=small -writer.buffer=buffer",
        "buf:buf_size*4",
    ),
    owning(
        &["_io.BufferedReader", "_io.BufferedWriter", "_io.BufferedRandom"],
        "buffered",
        "raw dict=__dict__",
        "+buffer:buffer_size*1 lock:1*32",
    ),
    plain(&["_io.BufferedRWPair"], "rwpair", "^reader ^writer dict=__dict__"),
    plain(&["_io.FileIO"], "fileio", "dict=__dict__"),
    plain(
        &["_io.TextIOWrapper"],
        "textio",
        "buffer encoding encoder decoder readnl errors decoded_chars pending_bytes snapshot raw dict=__dict__",
    ),
    plain(&["_io.IncrementalNewlineDecoder"], "nldecoder_object", "decoder errors"),
    owning(&["mmap.mmap"], "mmap_object", "", "data:size*1"),
];
