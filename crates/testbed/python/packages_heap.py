"""A heap after importing and really using packages. Arguments: their names. Commands on stdin: see oracle.serve."""
import gc
import importlib
import os
import sys

import oracle

kept = {}


def use_attrs():
    import attr

    @attr.s(auto_attribs=True)
    class Point:
        x: int = attr.ib(validator=attr.validators.instance_of(int))
        y: list = attr.Factory(list)

    @attr.s(slots=True, frozen=True)
    class Frozen:
        z = attr.ib(converter=int)

    kept["attrs"] = [[Point(i, [i]) for i in range(100)], [Frozen(str(i)) for i in range(100)], attr.fields(Point)]


def use_django():
    from django.conf import settings

    settings.configure(
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"],
        USE_TZ=True,
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
        ROOT_URLCONF=__name__,
    )
    import django

    django.setup()
    from django import forms
    from django.core.management import call_command
    from django.db import models
    from django.template import engines
    from django.test import RequestFactory

    class Shelf(models.Model):
        name = models.CharField(max_length=20)

        class Meta:
            app_label = "heap"

    class Form(forms.Form):
        name = forms.CharField()

    call_command("migrate", verbosity=0)
    from django.contrib.auth.models import Group, User

    for i in range(20):
        Group.objects.create(name="group %d" % i)
    user = User.objects.create(username="somebody")
    user.groups.add(*Group.objects.all()[:3])
    queryset = User.objects.prefetch_related("groups").filter(username__startswith="some")
    list(queryset)
    template = engines["django"].from_string("{% for x in items %}{{ x }}{% endfor %}")
    template.render({"items": [1, 2]})
    kept["django"] = [Shelf(name="s"), Form({"name": "x"}), queryset, template, RequestFactory().get("/a?b=c"), list(Group.objects.all())]


urlpatterns = []


def use_lxml():
    from lxml import etree, html

    root = etree.fromstring("<a x='1'>" + "<b y='2'>text<c/>tail</b>" * 50 + "</a>")
    kept["lxml"] = [root, list(root), root.xpath("//b"), html.fromstring("<p>x<br>y</p>"), etree.XPath("//c"), etree.ElementTree(root), etree.XMLParser()]


def use_numpy():
    import numpy

    base = numpy.arange(1000.0)
    record = numpy.zeros(10, dtype=[("a", "i4"), ("b", "f8"), ("c", "S5")])
    objects = numpy.empty(5, dtype=object)
    objects[:] = [[1], "two", None, 4.0, {"five": 5}]
    kept["numpy"] = [
        base, base[::2], base.reshape(10, 100), base.T, record, record["b"], objects,
        numpy.float64(1.5), numpy.int32(7), numpy.datetime64("2024-01-01"), numpy.dtype("i4,f8"),
        numpy.ma.array([1, 2, 3], mask=[0, 1, 0]), numpy.nditer(base), numpy.broadcast(base, 1),
        numpy.random.RandomState(1), numpy.random.default_rng(1), numpy.frombuffer(b"12345678", dtype="u1"),
        numpy.zeros((0, 3)), numpy.array(5), numpy.sin, numpy.vectorize(len), iter(base), base.flat, numpy.poly1d([1, 2]),
        numpy.array(["text", "longer text"]), memoryview(base), numpy.memmap("mapped", dtype="u1", mode="w+", shape=(5000,)),
    ]


def use_pandas():
    import pandas

    frame = pandas.DataFrame({"a": range(100), "b": [str(i) for i in range(100)], "c": pandas.Timestamp("2024-01-01"), "d": 1.5})
    frame["e"] = frame["b"].astype("category")
    kept["pandas"] = [
        frame, frame["a"], frame.groupby("b"), frame.index, frame[["a", "d"]], frame.describe(), frame.set_index(["a", "b"]),
        pandas.Series([1, None, 3]), pandas.date_range("2024-01-01", periods=10), pandas.Timedelta("1 day"), pandas.Interval(1, 2),
        pandas.array([1, 2, None], dtype="Int64"), pandas.Period("2024-01"), frame.rolling(3), pandas.NaT, pandas.NA,
    ]


def use_pydantic():
    import typing

    import pydantic

    class Inner(pydantic.BaseModel):
        x: int

    class Outer(pydantic.BaseModel):
        name: str
        inner: typing.List[Inner]
        extra: typing.Optional[typing.Dict[str, float]] = None

    Inner.__module__ = Outer.__module__ = __name__
    kept["pydantic"] = [[Outer(name="n%d" % i, inner=[{"x": i}]) for i in range(50)], Inner, Outer]
    try:
        Outer(name=1, inner="no")
    except pydantic.ValidationError as error:
        kept["pydantic error"] = error


def use_sqlalchemy():
    import sqlalchemy
    from sqlalchemy import orm

    Base = orm.declarative_base()

    class User(Base):
        __tablename__ = "users"
        id = sqlalchemy.Column(sqlalchemy.Integer, primary_key=True)
        name = sqlalchemy.Column(sqlalchemy.String(50))
        posts = orm.relationship("Post", back_populates="user")

    class Post(Base):
        __tablename__ = "posts"
        id = sqlalchemy.Column(sqlalchemy.Integer, primary_key=True)
        user_id = sqlalchemy.Column(sqlalchemy.ForeignKey("users.id"))
        user = orm.relationship("User", back_populates="posts")

    engine = sqlalchemy.create_engine("sqlite://")
    Base.metadata.create_all(engine)
    session = orm.Session(engine)
    session.add_all([User(name="u%d" % i, posts=[Post(), Post()]) for i in range(50)])
    session.commit()
    rows = session.execute(sqlalchemy.select(User.id, User.name)).fetchmany(10)
    users = session.query(User).options(orm.selectinload(User.posts)).all()
    kept["sqlalchemy"] = [engine, session, rows, users, Base, sqlalchemy.select(User).where(User.id > 3)]


for name in sys.argv[1:]:
    try:
        globals()["use_" + name]()
    except Exception as error:
        import traceback

        oracle.notes["failures"].append("%s: %s" % (name, "".join(traceback.format_exception_only(type(error), error)).strip()))
        traceback.print_exc()
        del traceback
oracle.notes["versions"] = {name: str(getattr(sys.modules.get({"attrs": "attr"}.get(name, name)), "__version__", "?")) for name in sys.argv[1:]}
gc.collect()
oracle.serve(kept)
os._exit(0)
