//! Readers and writers of formats: json, csv, pickle, XML, compression, sqlite3, text encodings.
//!
//! Source: the modules' traverse functions in `Modules/*.c` of 3.8–3.13.

use super::{coded, owning, plain, Basic, Kind, Row};

pub(super) const ROWS: &[Row] = &[
    plain(
        &["Scanner", "_json.Scanner"],
        "PyScannerObject",
        "object_hook object_pairs_hook array_hook parse_float parse_int parse_constant ^memo",
    ),
    plain(&["Encoder", "_json.Encoder"], "PyEncoderObject", "markers defaultfn=default encoder indent key_separator item_separator"),
    plain(&["_csv.Dialect"], "DialectObj", "lineterminator"),
    owning(&["_csv.reader"], "ReaderObj", "dialect input_iter fields", "field:field_size*4"),
    owning(&["_csv.writer"], "WriterObj", "write dialect error_obj", "rec:rec_size*4"),
    Row {
        extra: "memo output_buffer",
        ..coded(
            &["_pickle.Pickler"],
            "PicklerObject",
            Kind::Pickler,
            "write pers_func ~pers_func_self dispatch_table reducer_override buffer_callback fast_memo",
            Basic::Size,
        )
    },
    Row {
        extra: "memo memo_size",
        blocks: "+memo:memo_size*8 +marks:marks_size*8 +input_line:str +encoding:str +errors:str",
        ..coded(
            &["_pickle.Unpickler"],
            "UnpicklerObject",
            Kind::Unpickler,
            "stack pers_func ~pers_func_self readline readinto read peek buffers -buffer.obj=buffer",
            Basic::Size,
        )
    },
    Row { arrays: "-*data:ob_size", ..owning(&["_pickle.Pdata"], "Pdata", "", "data:allocated*8") },
    plain(&["_pickle.PicklerMemoProxy"], "PicklerMemoProxyObject", "pickler"),
    plain(&["_pickle.UnpicklerMemoProxy"], "UnpicklerMemoProxyObject", "unpickler"),
    Row { extra: "text tail extra", ..coded(&["xml.etree.ElementTree.Element"], "ElementObject", Kind::Element, "tag", Basic::Size) },
    Row {
        extra: "parent_stack parent_stack_used",
        blocks: "parent_stack:parent_stack_size*16",
        ..coded(&["_elementtree._element_iterator"], "ElementIterObject", Kind::ElementIter, "root_element sought_tag", Basic::Size)
    },
    plain(
        &["xml.etree.ElementTree.TreeBuilder"],
        "TreeBuilderObject",
        "root this last last_for_tail data stack element_factory comment_factory pi_factory events_append start_event_obj end_event_obj \
         start_ns_event_obj end_ns_event_obj comment_event_obj pi_event_obj",
    ),
    plain(
        &["xml.etree.ElementTree.XMLParser"],
        "XMLParserObject",
        "target entity names handle_start_ns handle_end_ns handle_start handle_data handle_end handle_comment handle_pi handle_doctype \
         handle_close",
    ),
    // One handler for each of Expat's events that pyexpat knows (`handler_info` in Modules/pyexpat.c).
    Row { arrays: "*handlers:22", ..owning(&["pyexpat.xmlparser"], "xmlparseobject", "-intern", "handlers:22*8 buffer:4.buffer_size*1") },
    owning(&["zlib.Compress", "zlib.Decompress"], "compobject", "-unused_data -unconsumed_tail %zdict", "lock:1*32"),
    owning(&["zlib._ZlibDecompressor"], "ZlibDecompressor", "-unused_data -zdict", "lock:1*32 input_buffer:input_buffer_size*1"),
    owning(&["_bz2.BZ2Compressor"], "BZ2Compressor", "", "lock:1*32"),
    owning(&["_bz2.BZ2Decompressor"], "BZ2Decompressor", "-unused_data", "lock:1*32 input_buffer:input_buffer_size*1"),
    owning(&["_lzma.LZMACompressor"], "Compressor", "", "lock:1*32"),
    owning(&["_lzma.LZMADecompressor"], "Decompressor", "-unused_data", "lock:1*32 input_buffer:input_buffer_size*1"),
    plain(&["MultibyteCodec", "_multibytecodec.MultibyteCodec"], "MultibyteCodecObject", "cjk_module"),
    plain(&["MultibyteIncrementalEncoder"], "MultibyteIncrementalEncoderObject", "errors -pending"),
    plain(&["MultibyteIncrementalDecoder"], "MultibyteIncrementalDecoderObject", "errors"),
    plain(&["MultibyteStreamReader"], "MultibyteStreamReaderObject", "errors stream"),
    plain(&["MultibyteStreamWriter"], "MultibyteStreamWriterObject", "errors stream -pending"),
    plain(
        &["sqlite3.Connection"],
        "pysqlite_Connection",
        "statement_cache cursors blobs row_factory text_factory ~Warning ~Error ~InterfaceError ~DatabaseError ~DataError \
         ~OperationalError ~IntegrityError ~InternalError ~ProgrammingError ~NotSupportedError",
    ),
    // To 3.10 more of it are objects.
    Row {
        extra: "statements collations",
        ..plain(
            &["sqlite3.Connection"],
            "pysqlite_Connection",
            "isolation_level statement_cache statements cursors row_factory text_factory collations \
             function_pinboard_trace_callback=trace_callback function_pinboard_progress_handler=progress_handler \
             function_pinboard_authorizer_cb=authorizer ~Warning ~Error ~InterfaceError ~DatabaseError ~DataError ~OperationalError \
             ~IntegrityError ~InternalError ~ProgrammingError ~NotSupportedError",
        )
    },
    plain(&["sqlite3.Cursor"], "pysqlite_Cursor", "connection description row_cast_map lastrowid row_factory statement next_row"),
    plain(&["sqlite3.Statement"], "pysqlite_Statement", "sql"),
    plain(&["sqlite3.Row"], "pysqlite_Row", "data description"),
    plain(&["sqlite3.Blob"], "pysqlite_Blob", "connection"),
    Row { extra: "factory decref_factory first", ..coded(&["sqlite3.Cache"], "pysqlite_Cache", Kind::SqliteCache, "mapping", Basic::Size) },
    plain(&["sqlite3Node", "sqlite3.Node"], "pysqlite_Node", "key data ~prev ~next"),
    plain(&["sqlite3.PrepareProtocol"], "pysqlite_PrepareProtocol", ""),
];
