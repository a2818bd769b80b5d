"""Numbers, strings, bytes: every digit count, every kind of text, every subclass form."""
import array
import ctypes
import decimal
import fractions
import mmap
import sys

from zoo import add, part


class IntPlain(int):
    pass


class IntSlotted(int):
    __slots__ = ()


class FloatPlain(float):
    pass


class FloatSlotted(float):
    __slots__ = ("unit",)


class ComplexPlain(complex):
    pass


class StrPlain(str):
    pass


class StrSlotted(str):
    __slots__ = ("mark",)


class BytesPlain(bytes):
    pass


class BytearrayPlain(bytearray):
    pass


class BytearraySlotted(bytearray):
    __slots__ = ("mark", "__weakref__")


class ArrayPlain(array.array):
    pass


class DecimalPlain(decimal.Decimal):
    pass


class FractionPlain(fractions.Fraction):
    pass


@part
def ints():
    for bits in (0, 1, 8, 9, 15, 29, 30, 31, 59, 60, 61, 89, 90, 119, 120, 500, 5000, 100_000):
        add("int/2^%d" % bits, 1 << bits)
        add("int/-2^%d" % bits, -(1 << bits))
        add("int/2^%d-1" % bits, (1 << bits) - 1)
    for small in (-6, -5, -1, 256, 257, 1024, 1025):
        add("int/%d" % small, int(str(small)))
    add("int/list", [n * n * n for n in range(2000)])
    for n, cls in enumerate((IntPlain, IntSlotted)):
        for value in (0, 1, -1, 2**30, -(2**64), 2**300):
            add("%s/%d" % (cls.__name__, value), cls(value))
    with_attribute = add("IntPlain/attribute", IntPlain(12345))
    with_attribute.note = "attached"
    big = add("IntPlain/big attribute", IntPlain(2**200))
    big.note = ["attached"]
    many = add("IntPlain/many attributes", IntPlain(7))
    for i in range(50):
        setattr(many, "a%d" % i, i)


@part
def other_numbers():
    add("bools", [True, False])
    add("float", 1.5)
    add("float/list", [n / 7 for n in range(500)])
    add("float/nan", float("nan"))
    add("complex", 2j + 1)
    plain = add("FloatPlain", FloatPlain(2.5))
    plain.unit = "kg"
    slotted = add("FloatSlotted", FloatSlotted(3.5))
    slotted.unit = "m"
    add("FloatSlotted/unset", FloatSlotted(4.5))
    add("ComplexPlain", ComplexPlain(1, 2)).tag = 1
    for text in ("0", "1.5", "-1e999999", "NaN", "Infinity", "1" * 19, "1" * 20, "1" * 38, "1" * 100, "9" * 1000):
        add("Decimal/%d digits %s" % (len(text), text[:12]), decimal.Decimal(text))
    computed = decimal.Decimal(2)
    with decimal.localcontext() as context:
        context.prec = 500
        computed = add("Decimal/computed", decimal.Decimal(2).sqrt())
    add("Decimal/subclass", DecimalPlain("3.25")).tag = "x"
    add("decimal.Context", decimal.Context(prec=50))
    add("decimal.getcontext", decimal.getcontext())
    add("Fraction", fractions.Fraction(3, 7))
    add("FractionPlain", FractionPlain(3, 7)).tag = 1


@part
def texts():
    kinds = {"ascii": "a", "latin1": "\xe9", "ucs2": "\u20ac", "ucs4": "\U0001f600"}
    for kind, char in kinds.items():
        for n in (0, 1, 2, 3, 15, 100, 5000):
            add("str/%s/%d" % (kind, n), char * n)
    for kind, char in kinds.items():
        plain = add("StrPlain/" + kind, StrPlain(char * 20))
        plain.note = kind
        add("StrPlain/empty/" + kind, StrPlain(char[:0]))
        add("StrSlotted/" + kind, StrSlotted(char * 9)).mark = [kind]
    add("StrSlotted/unset", StrSlotted("unset"))
    add("str/interned", sys.intern("an interned string, made at run time %d" % 7))
    add("str/joined", "".join(["part %d;" % i for i in range(100)]))
    add("str/surrogate", "lone \udc80 surrogate")
    utf8 = ctypes.pythonapi.PyUnicode_AsUTF8
    utf8.argtypes = [ctypes.py_object]
    utf8.restype = ctypes.c_char_p
    for kind, char in kinds.items():
        text = add("str/utf8 cached/" + kind, char * 33)
        utf8(text)
        sub = add("StrPlain/utf8 cached/" + kind, StrPlain(char * 35))
        utf8(sub)


@part
def legacy_texts():
    """Up to 3.11 a str can carry a wchar_t copy, or be nothing but one (not ready). PEP 393, PEP 623."""
    if sys.version_info >= (3, 12):
        return
    from_unicode = ctypes.pythonapi.PyUnicode_FromUnicode
    from_unicode.restype = ctypes.py_object
    from_unicode.argtypes = [ctypes.c_void_p, ctypes.c_ssize_t]
    for n in (1, 5, 40):
        add("str/legacy not ready/%d" % n, from_unicode(None, n))
    as_unicode = ctypes.pythonapi.PyUnicode_AsUnicode
    as_unicode.restype = ctypes.c_void_p
    as_unicode.argtypes = [ctypes.py_object]
    for kind, char in {"ascii": "a", "latin1": "\xe9", "ucs2": "\u20ac", "ucs4": "\U0001f600"}.items():
        text = add("str/wstr cached/" + kind, char * 21)
        as_unicode(text)
    sub = add("StrPlain/wstr cached", StrPlain("subclass text"))
    as_unicode(sub)


@part
def byte_strings():
    for n in (0, 1, 2, 15, 16, 100, 511, 512, 513, 100_000, 1_000_000):
        add("bytes/%d" % n, bytes(n))
        add("bytearray/%d" % n, bytearray(n))
    grown = add("bytearray/grown", bytearray())
    for i in range(3000):
        grown.append(i % 256)
    front = add("bytearray/front popped", bytearray(range(200)) * 10)
    del front[:700]
    cleared = add("bytearray/cleared", bytearray(100))
    cleared.clear()
    exported = add("bytearray/exported", bytearray(64))
    add("memoryview/of bytearray", memoryview(exported))
    add("memoryview/slice", memoryview(exported)[8:40:2])
    add("memoryview/cast", memoryview(exported).cast("I"))
    add("memoryview/2d", memoryview(exported).cast("B", (8, 8)))
    add("memoryview/of bytes", memoryview(b"some bytes"))
    released = add("memoryview/released", memoryview(bytearray(5)))
    released.release()
    add("memoryview/of array", memoryview(array.array("d", [1.0, 2.0])))
    add("BytesPlain", BytesPlain(b"abc")).tag = [1]
    add("BytesPlain/empty", BytesPlain())
    add("BytearrayPlain", BytearrayPlain(b"abc")).tag = [1]
    add("BytearraySlotted", BytearraySlotted(b"abcdefgh")).mark = 4


@part
def arrays():
    for code in array.typecodes:
        value = "x" if code in "uw" else 1
        add("array/%s/empty" % code, array.array(code))
        add("array/%s/10" % code, array.array(code, [value] * 10))
        grown = add("array/%s/grown" % code, array.array(code))
        for _ in range(300):
            grown.append(value)
        del grown[50:]
    add("ArrayPlain", ArrayPlain("i", range(10))).tag = "sub"
    add("array/big", array.array("Q", range(50_000)))


@part
def maps_of_memory():
    region = add("mmap", mmap.mmap(-1, 8192))
    region[:4] = b"abcd"
    closed = add("mmap/closed", mmap.mmap(-1, 4096))
    closed.close()
    add("mmap/view", memoryview(region)[:100])
