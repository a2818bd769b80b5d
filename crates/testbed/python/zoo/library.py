"""What the standard library's C modules make: io, re, datetime, ctypes, typing, sqlite, compression, xml, pickle, json, csv, ssl …"""
import bz2
import collections.abc
import copy
import csv
import ctypes
import datetime
import email.message
import gzip
import hashlib
import hmac
import io
import json
import locale
import logging
import lzma
import os
import pathlib
import pickle
import queue
import random
import re
import select
import selectors
import socket
import struct
import sys
import tempfile
import time
import types
import typing
import unicodedata
import uuid
import zlib
from xml.etree import ElementTree

from zoo import add, part


@part
def streams():
    add("BytesIO/empty", io.BytesIO())
    shared = add("BytesIO/shared buffer", io.BytesIO(b"x" * 1000))
    own = add("BytesIO/own buffer", io.BytesIO())
    for i in range(500):
        own.write(b"some bytes %d" % i)
    overwritten = add("BytesIO/overwritten", io.BytesIO(b"y" * 1000))
    overwritten.write(b"z")
    value = add("BytesIO/getvalue", io.BytesIO())
    value.write(b"abc" * 100)
    add("BytesIO/getvalue/value", value.getvalue())
    exported = add("BytesIO/exported", io.BytesIO(b"abc" * 50))
    add("BytesIO/getbuffer", exported.getbuffer())
    closed = add("BytesIO/closed", io.BytesIO(b"abc"))
    closed.close()
    add("BytesIO/attribute", io.BytesIO(b"abc")).note = [1]
    add("BytesIO/subclass", type("SubBytesIO", (io.BytesIO,), {})(b"abcdef" * 40)).note = [1]
    add("StringIO/empty", io.StringIO())
    add("StringIO/initial", io.StringIO("initial \u20ac text"))
    accumulating = add("StringIO/accumulating", io.StringIO())
    for i in range(100):
        accumulating.write("part %d " % i)
    realised = add("StringIO/realised", io.StringIO())
    realised.write("some text " * 20)
    realised.seek(3)
    realised.write("over")
    closed = add("StringIO/closed", io.StringIO("x"))
    closed.close()
    add("StringIO/attribute", io.StringIO("y", newline="\r\n")).note = [1]
    folder = tempfile.mkdtemp(dir=".")
    path = os.path.join(folder, "file")
    written = add("file/text written", open(path, "w"))
    written.write("unflushed text " * 10)
    written.flush()
    written.write("pending")
    read = add("file/text read", open(path))
    read.read(20)
    add("file/text iterated", open(path))
    add("file/binary", open(path, "rb")).read(3)
    add("file/binary written", open(path + "2", "wb", 100)).write(b"pending")
    add("file/random", open(path, "r+b")).read(1)
    add("file/raw", open(path, "rb", 0))
    closed = add("file/closed", open(path))
    closed.close()
    detached = open(path)
    add("file/detached buffer", detached.detach())
    add("file/detached wrapper", detached)
    add("file/latin1", open(path, encoding="latin-1", errors="replace", newline=""))
    add("file/attribute", open(path)).note = [1]
    add("TextIOWrapper/BytesIO", io.TextIOWrapper(io.BytesIO(b"line one\r\nline two\r\n" * 50))).readline()
    add("BufferedReader/BytesIO", io.BufferedReader(io.BytesIO(b"abc" * 10), 64)).peek(1)
    reader, writer = os.pipe()
    add("BufferedRWPair", io.BufferedRWPair(open(reader, "rb", 0), open(writer, "wb", 0)))
    add("IncrementalNewlineDecoder", io.IncrementalNewlineDecoder(None, True))
    add("standard streams", [sys.stdin, sys.stdout, sys.stderr])
    add("gzip", gzip.GzipFile(fileobj=io.BytesIO(), mode="wb")).write(b"abc" * 100)
    add("TemporaryFile", tempfile.TemporaryFile(dir="."))
    add("SpooledTemporaryFile", tempfile.SpooledTemporaryFile(dir=".")).write(b"x")


@part
def times():
    zone = datetime.timezone(datetime.timedelta(hours=5, minutes=30), "IST")
    add("datetime", datetime.datetime(2024, 1, 2, 3, 4, 5, 6))
    add("datetime/zone", datetime.datetime(2024, 1, 2, tzinfo=zone))
    add("datetime/subclass", type("SubDatetime", (datetime.datetime,), {})(2024, 1, 2)).note = [1]
    add("date", datetime.date(2024, 1, 2))
    add("time", datetime.time(1, 2, 3))
    add("time/zone", datetime.time(1, 2, 3, tzinfo=zone))
    add("timedelta", datetime.timedelta(1, 2, 3))
    add("timezone", [zone, datetime.timezone.utc, datetime.timezone(datetime.timedelta(0))])
    add("tzinfo", type("SubTzinfo", (datetime.tzinfo,), {})())
    add("struct_time", time.localtime())
    if sys.version_info >= (3, 9):
        import zoneinfo

        for key in ("Europe/Berlin", "UTC"):
            try:
                add("ZoneInfo/" + key, zoneinfo.ZoneInfo(key)).utcoffset(datetime.datetime(2024, 1, 1))
            except zoneinfo.ZoneInfoNotFoundError:
                pass  # a machine without zone files


@part
def sequences_of_structs():
    add("structseq", [os.stat("."), sys.version_info, sys.flags, sys.float_info, os.uname(), os.times(), sys.hash_info, sys.thread_info])
    add("terminal size", os.terminal_size((80, 24)))


@part
def patterns():
    add("re/pattern", re.compile("a(b)(?P<name>c)?"))
    add("re/bytes pattern", re.compile(b"[a-z]+\\d*"))
    add("re/big", re.compile("|".join("word%d" % i for i in range(300))))
    add("re/match", re.match("a(b)(?P<name>c)?", "abc"))
    add("re/match bytes", re.match(b"(.)(.)(.)", b"abc"))
    add("re/scanner", re.compile("a").scanner("banana"))
    asked = add("re/match regs", re.match("(a)(b)", "ab"))
    asked.regs


@part
def typing_objects():
    T = typing.TypeVar("T")
    add("TypeVar", [T, typing.TypeVar("B", bound=int), typing.TypeVar("C", int, str, covariant=True)])
    add("typing/aliases", [typing.List[int], typing.Dict[str, T], typing.Union[int, str], typing.Optional[T], typing.Callable[[int], str]])
    add("typing/special", [typing.Any, typing.ClassVar[int], typing.Literal["a", 1], typing.Tuple[int, ...], typing.Type[int]])
    add("typing/ForwardRef", typing.ForwardRef("Later"))
    add("typing/NewType", typing.NewType("UserId", int))
    if sys.version_info >= (3, 9):
        add("GenericAlias", [list[int], dict[str, list[T]], tuple[int, ...], collections.abc.Callable[[int], str]])
        asked = add("GenericAlias/parameters", dict[T, list[T]])
        asked.__parameters__, asked[int]
        add("GenericAlias/base", types.new_class("SubList", (list[int],)))
        add("typing/Annotated", typing.Annotated[int, [1]])
    if sys.version_info >= (3, 10):
        add("UnionType", [int | str, int | None, list[int] | T])
        add("ParamSpec", typing.ParamSpec("P"))
        add("ParamSpec/args", [typing.ParamSpec("Q").args, typing.ParamSpec("R").kwargs])
        add("Concatenate", typing.Concatenate[int, typing.ParamSpec("S")])
    if sys.version_info >= (3, 11):
        add("TypeVarTuple", typing.TypeVarTuple("Ts"))
        add("Unpack", typing.Unpack[typing.TypeVarTuple("Us")])
        add("GenericAlias/starred", list(tuple[int, ...]))


class Pair(ctypes.Structure):
    _fields_ = [("a", ctypes.c_int), ("b", ctypes.c_double)]


class Nested(ctypes.Structure):
    _fields_ = [("pair", Pair), ("next", ctypes.POINTER(Pair)), ("many", ctypes.c_int * 4), ("object", ctypes.py_object)]


class Either(ctypes.Union):
    _fields_ = [("i", ctypes.c_int), ("f", ctypes.c_float)]


class Flagged(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint, 3), ("high", ctypes.c_uint, 5)]


class SubPair(Pair):
    _fields_ = [("c", ctypes.c_char_p)]


@part
def foreign_functions():
    add("ctypes/simple", [ctypes.c_int(4), ctypes.c_double(1.5), ctypes.c_char(b"x"), ctypes.c_bool(True), ctypes.c_longlong(5)])
    add("ctypes/strings", [ctypes.c_char_p(b"kept"), ctypes.c_wchar_p("kept wide"), ctypes.c_void_p(0)])
    add("ctypes/py_object", ctypes.py_object([1]))
    add("ctypes/array small", (ctypes.c_int * 3)(1, 2, 3))
    array = add("ctypes/array", (ctypes.c_int * 100)())
    add("ctypes/array of arrays", ((ctypes.c_int * 3) * 4)())
    add("ctypes/buffer", ctypes.create_string_buffer(1000))
    add("ctypes/array of strings", (ctypes.c_char_p * 3)(b"one", b"two"))
    pair = add("ctypes/structure", Pair(1, 2.0))
    pair.note = [1]
    nested = add("ctypes/nested", Nested())
    nested.next = ctypes.pointer(pair)
    nested.object = [1]
    nested.pair.a = 5
    add("ctypes/view", nested.pair)
    add("ctypes/view of array", nested.many)
    add("ctypes/union", Either(i=3))
    add("ctypes/bits", Flagged(1, 2))
    add("ctypes/inherited", SubPair(1, 2.0, b"c"))
    add("ctypes/pointer", ctypes.pointer(pair))
    add("ctypes/pointer contents", ctypes.pointer(ctypes.c_int(7)).contents)
    add("ctypes/null pointer", ctypes.POINTER(Pair)())
    add("ctypes/byref", ctypes.byref(pair))
    add("ctypes/cast", ctypes.cast(array, ctypes.POINTER(ctypes.c_int)))
    add("ctypes/from_buffer", (ctypes.c_int * 2).from_buffer(bytearray(8)))
    prototype = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)
    add("ctypes/callback", prototype(lambda x: x))
    add("ctypes/prototype", prototype)
    library = add("ctypes/library", ctypes.CDLL(None))
    function = add("ctypes/function", library.strlen)
    function.argtypes, function.restype = [ctypes.c_char_p], ctypes.c_size_t
    function.errcheck = lambda result, function, arguments: result
    function(b"abc")
    add("ctypes/types", [Pair, Nested, Either, Flagged, SubPair, ctypes.c_int * 7, ctypes.POINTER(Nested), ctypes.c_int])
    add("ctypes/fields", [Pair.a, Nested.many, Flagged.low])
    add("ctypes/resized", ctypes.c_int(3))
    ctypes.resize(add("ctypes/resized buffer", ctypes.create_string_buffer(10)), 500)


@part
def xml():
    root = ElementTree.Element("root", {"a": "1"})
    for i in range(30):
        child = ElementTree.SubElement(root, "child", {"n": str(i)} if i % 2 else {})
        child.text = "text %d" % i
        child.tail = "\n"
        for j in range(i % 7):
            ElementTree.SubElement(child, "leaf")
    add("Element", root)
    add("Element/no children", ElementTree.Element("alone"))
    removed = add("Element/removed", copy.deepcopy(root))
    for child in list(removed)[5:]:
        removed.remove(child)
    add("ElementTree", ElementTree.ElementTree(root))
    add("Element/parsed", ElementTree.fromstring("<a b='c'>t<d/>u<e f='g'><h/></e></a>"))
    add("Element/iterators", [root.iter(), root.itertext(), root.iterfind("child")])
    step = add("Element/iterator half", root.iter("leaf"))
    next(step)
    parser = add("XMLParser", ElementTree.XMLParser())
    parser.feed("<open><child>half a docu")
    pull = add("XMLPullParser", ElementTree.XMLPullParser(["start", "end"]))
    pull.feed("<a><b>x</b>")
    add("TreeBuilder", ElementTree.TreeBuilder()).start("t", {})
    import xml.parsers.expat

    expat = add("expat", xml.parsers.expat.ParserCreate())
    expat.StartElementHandler = lambda *a: None
    expat.buffer_text = True
    expat.Parse("<a>")
    import xml.dom.minidom

    add("minidom", xml.dom.minidom.parseString("<a b='c'><d>t</d></a>"))


@part
def formats():
    pickler = add("Pickler", pickle.Pickler(io.BytesIO()))
    pickler.dump([["memo", i] for i in range(100)])
    add("Pickler/memo", pickler.memo)
    pickler_table = add("Pickler/dispatch", pickle.Pickler(io.BytesIO()))
    pickler_table.dispatch_table = {}
    unpickler = add("Unpickler", pickle.Unpickler(io.BytesIO(pickle.dumps([["memo", i] for i in range(100)]))))
    unpickler.load()
    add("Unpickler/memo", unpickler.memo)
    add("PickleBuffer", pickle.PickleBuffer(bytearray(10)))
    reader = add("csv/reader", csv.reader(["a,b\n", "c,d\n"], delimiter=","))
    next(reader)
    add("csv/writer", csv.writer(io.StringIO())).writerow([1, 2])
    add("csv/DictReader", csv.DictReader(["a,b", "1,2"])).__next__()
    csv.register_dialect("zoo", delimiter=";", quotechar="'")
    add("csv/dialect", csv.get_dialect("zoo"))
    add("json/encoder", json.JSONEncoder(indent=2))
    add("json/decoder", json.JSONDecoder(object_hook=dict))
    add("json/loaded", json.loads('{"a": [1, 2.5, null, true, {"b": "\\u20ac"}], "c": "d"}'))
    add("json/c encoder", json.encoder.c_make_encoder(None, repr, repr, None, ":", ",", False, False, True))
    add("json/c scanner", json.JSONDecoder().scan_once)
    add("Struct", struct.Struct("<iQ10sd"))
    add("Struct/empty", struct.Struct(""))
    add("Struct/repeat", struct.Struct("100i3h"))
    add("Struct/iterator", struct.iter_unpack("<i", bytes(40)))
    message = add("email", email.message.EmailMessage())
    message["Subject"] = "subject"
    message.set_content("body")


@part
def compression():
    compressor = add("zlib/compress", zlib.compressobj(9))
    compressor.compress(b"x" * 10000)
    decompressor = add("zlib/decompress", zlib.decompressobj())
    decompressor.decompress(zlib.compress(b"y" * 10000), 100)
    add("zlib/dictionary", zlib.decompressobj(zdict=b"dictionary"))
    add("bz2/compress", bz2.BZ2Compressor()).compress(b"x" * 1000)
    half = add("bz2/decompress", bz2.BZ2Decompressor())
    half.decompress(bz2.compress(b"x" * 100000)[:30])
    limited = add("bz2/decompress limited", bz2.BZ2Decompressor())
    limited.decompress(bz2.compress(os.urandom(5000)), 100)
    add("lzma/compress", lzma.LZMACompressor(preset=0)).compress(b"x" * 1000)
    half = add("lzma/decompress", lzma.LZMADecompressor())
    half.decompress(lzma.compress(b"x" * 100000)[:40])


@part
def crypto():
    add("hashlib", [hashlib.md5(b"x"), hashlib.sha256(b"x"), hashlib.sha3_256(b"x"), hashlib.blake2b(b"x", key=b"k"), hashlib.blake2s(b"x")])
    add("hmac", hmac.new(b"key", b"message", "sha256"))
    generator = add("random.Random", random.Random(1))
    generator.gauss(0, 1)
    add("SystemRandom", random.SystemRandom())
    import _random

    add("_random.Random", _random.Random(1))
    try:
        import ssl
    except ImportError:
        return
    context = add("SSLContext", ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    add("SSLObject", context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="example.invalid"))
    add("MemoryBIO", ssl.MemoryBIO()).write(b"x" * 100)


@part
def networks_and_files():
    pair = add("sockets", socket.socketpair())
    listening = add("socket/listening", socket.socket())
    listening.settimeout(3.0)
    add("socket/file", pair[0].makefile("rwb"))
    selector = add("selector", selectors.DefaultSelector())
    selector.register(pair[0], selectors.EVENT_READ, [1])
    add("selector/select", selectors.SelectSelector())
    add("selector/poll", selectors.PollSelector()).register(pair[1], selectors.EVENT_WRITE)
    add("poll", select.poll()).register(pair[0])
    add("epoll", select.epoll()).register(pair[1])
    scan = add("scandir", os.scandir("."))
    entry = add("DirEntry", next(scan, None))
    if entry:
        entry.stat()
    add("Path", pathlib.Path("a") / "b" / "c.txt").suffix
    add("Path/asked", [pathlib.PurePath("/x/y"), pathlib.Path("x").resolve()])
    add("uuid", uuid.UUID(int=5))
    add("environ", os.environ)
    add("logger", logging.getLogger("zoo")).addHandler(logging.StreamHandler(io.StringIO()))
    add("log record", logging.LogRecord("n", 10, "p", 1, "m %d", (1,), None))
    add("capsules", [unicodedata._ucnhash_CAPI if hasattr(unicodedata, "_ucnhash_CAPI") else unicodedata.ucd_3_2_0, datetime.datetime_CAPI])
    add("locale", locale.localeconv())


@part
def databases():
    try:
        import sqlite3
    except ImportError:
        return
    connection = add("sqlite3/connection", sqlite3.connect(":memory:"))
    connection.row_factory = sqlite3.Row
    connection.create_function("f", 1, lambda x: x)
    connection.create_aggregate("g", 1, type("Aggregate", (), {"step": lambda s, v: None, "finalize": lambda s: 1}))
    connection.execute("create table t(a integer, b text, c blob)")
    connection.executemany("insert into t values(?, ?, ?)", [(i, "text %d" % i, b"blob") for i in range(50)])
    cursor = add("sqlite3/cursor", connection.execute("select * from t"))
    add("sqlite3/rows", cursor.fetchmany(5))
    add("sqlite3/row class", sqlite3.Row)
    closed = add("sqlite3/closed", sqlite3.connect(":memory:"))
    closed.close()


@part
def queues():
    simple = add("SimpleQueue", queue.SimpleQueue())
    for i in range(20):
        simple.put([i])
    simple.get()
    add("SimpleQueue/empty", queue.SimpleQueue())
    add("Queue", queue.Queue(5)).put([1])
    add("PriorityQueue", queue.PriorityQueue()).put((1, [2]))
