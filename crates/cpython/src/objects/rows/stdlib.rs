//! Containers, functions, patterns and other types of the standard library's C modules.
//!
//! Source: the modules' traverse functions in `Modules/*.c` of 3.8–3.13.

use super::{coded, owning, plain, Basic, Kind, Row};

pub(super) const ROWS: &[Row] = &[
    coded(&["collections.deque"], "dequeobject", Kind::Deque, "", Basic::Size),
    coded(&["collections.defaultdict"], "defdictobject", Kind::Dict, "default_factory", Basic::Size),
    coded(&["collections.OrderedDict"], "PyODictObject", Kind::OrderedDict, "od_inst_dict=__dict__", Basic::Size),
    Row { extra: "ob_item allocated ob_descr", ..coded(&["array.array"], "arrayobject", Kind::Array, "", Basic::Size) },
    plain(&["collections._tuplegetter", "_collections._tuplegetter"], "_tuplegetterobject", "doc=__doc__"),
    plain(&["functools.partial"], "partialobject", "fn=func args kw=keywords dict=__dict__ ~placeholder"),
    plain(&["functools.KeyWrapper"], "keyobject", "cmp object"),
    coded(
        &["functools._lru_cache_wrapper"],
        "lru_cache_object",
        Kind::LruCache,
        "cache func=__wrapped__ kwd_mark lru_list_elem_type cache_info_type dict=__dict__",
        Basic::Size,
    ),
    plain(&["functools._lru_list_elem"], "lru_list_elem", "~key ~result"),
    plain(&["operator.attrgetter"], "attrgetterobject", "attr"),
    plain(&["operator.itemgetter"], "itemgetterobject", "item"),
    plain(&["operator.methodcaller"], "methodcallerobject", "^name args kwds xargs"),
    // In 3.13 the first of these is an array, not a tuple, and there are no `args`.
    Row {
        extra: "args vectorcall_args",
        ..plain(&["operator.methodcaller"], "methodcallerobject", "name args kwds vectorcall_args vectorcall_kwnames")
    },
    plain(&["_abc_data", "_abc._abc_data"], "_abc_data", "_abc_registry=registry _abc_cache=cache _abc_negative_cache=negative_cache"),
    plain(&["re.Pattern"], "PatternObject", "groupindex indexgroup pattern"),
    plain(&["re.Match"], "MatchObject", "string regs pattern=re"),
    plain(&["_sre.SRE_Scanner"], "ScannerObject", "pattern -state.string=string -state.buffer.obj=buffer"),
    coded(&["_sre.SRE_Template"], "TemplateObject", Kind::Template, "literal", Basic::Size),
    plain(&["unicodedata.UCD"], "PreviousDBVersion", ""),
    plain(&["_random.Random"], "RandomObject", ""),
    owning(&["_hashlib.HASH", "_hashlib.HASHXOF"], "EVPobject", "", "lock:1*32"),
    owning(&["_hashlib.HMAC"], "HMACobject", "", "lock:1*32"),
    owning(&["_blake2.blake2b"], "BLAKE2bObject", "", "lock:1*32"),
    owning(&["_blake2.blake2s"], "BLAKE2sObject", "", "lock:1*32"),
    owning(
        &["_sha3.sha3_224", "_sha3.sha3_256", "_sha3.sha3_384", "_sha3.sha3_512", "_sha3.shake_128", "_sha3.shake_256"],
        "SHA3object",
        "",
        "lock:1*32",
    ),
    plain(&["posix.DirEntry"], "DirEntry", "-name -path -stat -lstat"),
    plain(&["posix.ScandirIterator"], "ScandirIterator", "-path.object=path -path.cleanup=cleanup"),
    owning(&["select.poll"], "pollObject", "-dict=registered", "ufds:4.ufd_len*8"),
    plain(&["select.epoll"], "pyEpoll_Object", ""),
    plain(&["_socket.socket"], "PySocketSockObject", ""),
    owning(
        &["_ssl._SSLContext"],
        "PySSLContext",
        "set_sni_cb msg_cb -keylog_filename psk_client_callback psk_server_callback",
        "alpn_protocols:4.alpn_protocols_len*1",
    ),
    plain(&["_ssl._SSLSocket"], "PySSLSocket", "-Socket=socket -ctx=context -owner -server_hostname exc_type exc_value exc_tb exc"),
    plain(&["_ssl.SSLSession", "_ssl.Session"], "PySSLSession", "ctx=context"),
    plain(&["_ssl.MemoryBIO"], "PySSLMemoryBIO", ""),
];
