//! Iterators of the interpreter and of itertools.
//!
//! Source: `Objects/*object.c`, `Modules/itertoolsmodule.c` of 3.8–3.13.

use super::{plain, Row};

pub(super) const ROWS: &[Row] = &[
    plain(&["list_iterator", "list_reverseiterator"], "_PyListIterObject", "it_seq"),
    plain(&["list_iterator", "list_reverseiterator"], "listiterobject", "it_seq"),
    plain(&["tuple_iterator"], "tupleiterobject", "it_seq"),
    plain(&["tuple_iterator"], "_PyTupleIterObject", "it_seq"),
    plain(
        &[
            "dict_keyiterator",
            "dict_valueiterator",
            "dict_itemiterator",
            "dict_reversekeyiterator",
            "dict_reversevalueiterator",
            "dict_reverseitemiterator",
        ],
        "dictiterobject",
        "di_dict di_result",
    ),
    plain(&["set_iterator"], "setiterobject", "si_set"),
    plain(&["str_iterator", "str_ascii_iterator"], "unicodeiterobject", "it_seq"),
    plain(&["bytes_iterator", "bytearray_iterator"], "striterobject", "it_seq"),
    plain(&["callable_iterator"], "calliterobject", "it_callable it_sentinel"),
    plain(&["iterator"], "seqiterobject", "it_seq"),
    plain(&["enumerate"], "enumobject", "en_sit en_result en_longindex one"),
    plain(&["reversed"], "reversedobject", "seq"),
    plain(&["zip"], "zipobject", "ittuple result"),
    plain(&["map"], "mapobject", "iters func"),
    plain(&["filter"], "filterobject", "func it"),
    plain(&["itertools.chain"], "chainobject", "source active"),
    plain(&["itertools.cycle"], "cycleobject", "it saved"),
    plain(&["itertools._tee"], "teeobject", "dataobj"),
    plain(&["itertools.groupby"], "groupbyobject", "it keyfunc tgtkey currkey currvalue"),
    plain(&["itertools.count"], "countobject", "long_cnt long_step"),
    plain(&["itertools.repeat"], "repeatobject", "element"),
    plain(&["itertools.accumulate"], "accumulateobject", "total it binop initial"),
    plain(&["_collections._deque_iterator", "_collections._deque_reverse_iterator"], "dequeiterobject", "deque"),
];
