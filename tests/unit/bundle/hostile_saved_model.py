"""SavedModels that must be refused, made by hand: numbers are those of the list of hostile inputs."""

from collections.abc import Mapping, Sequence

from tests.unit.bundle.inspecting import Case
from tests.unit.bundle.wire import entries, field, message, tag, varint
from volary.common.reasons import Reason


def node(name: str, operator: str, *inputs: str, calls: Sequence[str] = (), branches: Sequence[str] = ()) -> bytes:
    """A NodeDef; `calls` are attributes that name a function each, `branches` one that names several."""
    attributes: dict[str, bytes] = {f"f{number}": field(10, field(1, callee)) for number, callee in enumerate(calls)}
    if branches:
        attributes["branches"] = field(1, b"".join(field(9, field(1, callee)) for callee in branches))
    return message((1, name), (2, operator), *((3, each) for each in inputs)) + entries(5, attributes | {"T": field(6, 1)})


def function(name: str, *nodes: bytes, parameters: Sequence[str] = ()) -> bytes:
    operator = field(1, name) + b"".join(field(2, field(1, each)) for each in parameters)
    return field(1, operator) + b"".join(field(3, each) for each in nodes)


def signature(inputs: Mapping[str, str], outputs: Mapping[str, str]) -> bytes:
    sides = ((1, inputs), (2, outputs))
    return b"".join(entries(side, {key: field(1, tensor) for key, tensor in found.items()}) for side, found in sides)


SERVING = {"serving_default": signature({"x": "x:0"}, {"y": "y:0"})}
X = node("x", "Placeholder")
SAVER = message((1, "saver_filename:0"), (2, "save:0"), (3, "restore"), (7, 2))
# What tf.saved_model.save writes beside each model.
SAVE = function(
    "traced_save", node("prefix", "StringJoin"), node("shard", "ShardedFilename"), node("save", "SaveV2"), node("m", "MergeV2Checkpoints")
)
RESTORE = function(
    "traced_restore",
    node("same", "Identity", "prefix"),
    node("read", "RestoreV2", "same:output:0", "names:output:0", "slices:output:0"),
    node("assign", "AssignVariableOp", "read:tensors:0"),
    parameters=["prefix"],
)
KEEPING = (
    node("saver_filename", "Placeholder"),
    node("save", "StatefulPartitionedCall", "saver_filename", calls=["traced_save"]),
    node("restore", "StatefulPartitionedCall", "saver_filename", calls=["traced_restore"]),
)


def meta(
    *nodes: bytes,
    functions: Sequence[bytes] = (),
    tags: Sequence[str] = ("serve",),
    signatures: Mapping[str, bytes] = SERVING,
    assets: Sequence[str] = (),
    collections: Mapping[str, bytes] | None = None,
    saver: bytes = SAVER,
) -> bytes:
    library = b"".join(field(1, each) for each in (SAVE, RESTORE, *functions))
    graph = b"".join(field(1, each) for each in (X, *nodes, *KEEPING)) + field(2, library)
    found = field(1, message(*((4, each) for each in tags), (5, "2.21.0"))) + field(2, graph) + field(3, saver)
    found += entries(4, collections or {}) + entries(5, signatures)
    return found + b"".join(field(6, message((1, message((1, "a:0"))), (2, asset))) for asset in assets)


def saved(*metas: bytes, version: int = 1) -> bytes:
    return field(1, version) + b"".join(field(2, each) for each in metas)


def with_table(*nodes: bytes, functions: Sequence[bytes] = (), assets: Sequence[str] = ("words.txt",)) -> bytes:
    """The start of the server runs the node `init`; the name of the asset is given to the node `a`."""
    start = signature({}, {"__saved_model_init_op": "init"})
    more = (Y, node("a", "Const"), node("t", "HashTableV2"))
    return saved(meta(*more, *nodes, functions=functions, assets=assets, signatures=SERVING | {"__saved_model_init_op": start}))


TABLE = "InitializeTableFromTextFileV2"
CREATE = function("create", node("fill", TABLE, "table", "path"), parameters=["path", "table"])
VARIABLE = (
    node("v", "VarHandleOp"),
    node("assign", "AssignVariableOp", "v", "a"),
    node("there", "VarIsInitializedOp", "v"),
    node("read", "ReadVariableOp", "v", "^assign"),
    node("init", "StatefulPartitionedCall", "read", "t", calls=["create"]),
)


def collected(tensor: str, name: str) -> bytes:
    """An asset as TensorFlow 1 wrote it: in a collection."""
    asset = message((1, field(1, tensor)), (2, name))
    return field(5, field(1, message((1, "type.googleapis.com/tensorflow.AssetFileDef"), (2, asset))))


def model(*nodes: bytes, functions: Sequence[bytes] = ()) -> bytes:
    return saved(meta(*nodes, functions=functions))


Y = node("y", "Relu", "x")
CALL = node("y", "StatefulPartitionedCall", "x", calls=["f"])
GOOD = model(CALL, functions=[function("f", node("relu", "Relu", "x"))])


def _operator(text: str, data: bytes) -> Case:
    return Case(data, Reason.OPERATOR_NOT_ALLOWED, text)


def _invalid(text: str, data: bytes) -> Case:
    return Case(data, Reason.MODEL_INVALID, text)


def _asset(text: str, name: str) -> Case:
    return Case(saved(meta(Y, assets=["words.txt", name])), Reason.EXTERNAL_DATA_INVALID, text)


FORBIDDEN = {
    "63": ["ReadFile"],
    "64": ["WriteFile"],
    "65": ["PrintV2", "Print"],
    "66": ["Save", "SaveSlices"],
    "67": ["WholeFileReaderV2", "TextLineReaderV2", "TFRecordReaderV2", "FixedLengthRecordReaderV2", "LMDBReader"],
    "68": ["MatchingFiles"],
    "69": ["PyFunc", "EagerPyFunc", "PyFuncStateless"],
    "others": [
        *("ImmutableConst", "Restore", "RestoreSlice", "LoadAndRemapMatrix", "GenerateVocabRemapping", "DecodeProtoV2", "DumpTensor"),
        *("DebugIdentityV2", "CreateSummaryFileWriter", "WriteSummary", "TextLineDataset", "SqlDataset", "CacheDataset", "SaveDataset"),
        *("SnapshotDataset", "FileSystemSetConfiguration", "RemoteCall", "RpcClient", "_Send", "_Recv", "CollectiveReduceV2", "Abort"),
        *("XlaCustomCallV2", "XlaCallModule", "CompositeTensorVariantFromComponents", "CalibrationStatisticsSaver", "relu", "", "Relu "),
    ],
}

OPERATORS: dict[str, Case] = {
    f"{number} {name}": _operator(f"the node 'bad' of the graph is of the operator '{name}'", model(Y, node("bad", name)))
    for number, names in FORBIDDEN.items()
    for name in names
} | {
    "66 SaveV2 that requests run": _operator(
        "'SaveV2', and requests would run it", model(node("y", "Identity", "bad"), node("bad", "SaveV2", "x"))
    ),
    "66 SaveV2 as a dependency without data": _operator(
        "requests would run it", model(node("y", "Relu", "x", "^bad"), node("bad", "SaveV2"))
    ),
    "66 SaveV2 in a function that requests run": _operator(
        "the node 'bad' of the function 'g' is of the operator 'SaveV2'",
        model(CALL, functions=[function("f", node("c", "PartitionedCall", calls=["g"])), function("g", node("bad", "SaveV2"))]),
    ),
    "66 TensorFlow's own function for saving, called by requests": _operator(
        "of the function 'traced_save' is of the operator", model(node("y", "StatefulPartitionedCall", "x", calls=["traced_save"]))
    ),
    "66 SaveV2 that an input leads to": _operator(
        "requests would run it", saved(meta(Y, node("bad", "SaveV2"), signatures={"s": signature({"x": "bad:0"}, {"y": "y:0"})}))
    ),
    "66 SaveV2 in a second signature": _operator(
        "requests would run it", saved(meta(Y, node("bad", "SaveV2"), signatures=SERVING | {"other": signature({}, {"z": "bad:0"})}))
    ),
    "66 SaveV2 when the server starts": _operator(
        "the start of the server would run it",
        saved(meta(Y, node("bad", "SaveV2"), collections={"saved_model_main_op": field(1, field(1, "bad"))})),
    ),
    "66 SaveV2 when the server starts, by signature": _operator(
        "the start of the server would run it",
        saved(
            meta(Y, node("bad", "SaveV2"), signatures=SERVING | {"__saved_model_init_op": signature({}, {"__saved_model_init_op": "bad"})})
        ),
    ),
    "66 SaveV2 when variables are restored": _operator(
        "restoring variables would run it", saved(meta(Y, node("bad", "SaveV2"), saver=message((2, "save:0"), (3, "bad"))))
    ),
    "66 SaveV2 in parts of a tensor": _operator(
        "requests would run it",
        saved(meta(Y, node("bad", "SaveV2"), signatures={"s": entries(2, {"y": field(4, message((1, "y:0"), (2, "bad:0")))})})),
    ),
    "66 SaveV2 in parts of parts": _operator(
        "requests would run it",
        saved(
            meta(Y, node("bad", "SaveV2"), signatures={"s": entries(2, {"y": field(5, field(2, field(5, field(2, field(1, "bad:0")))))})})
        ),
    ),
    "RestoreV2 that requests run": _operator("'RestoreV2', and requests would run it", model(node("y", "RestoreV2", "x"))),
    "70 in a function": _operator(
        "the node 'bad' of the function 'f' is of the operator 'ReadFile'", model(CALL, functions=[function("f", node("bad", "ReadFile"))])
    ),
    "70 in a function that nobody calls": _operator("of the function 'f'", model(Y, functions=[function("f", node("bad", "WriteFile"))])),
    "70 a function of the name of an operator": _operator(
        "'bad' of the graph is of the operator 'ReadFile'",
        model(Y, node("bad", "ReadFile"), functions=[function("ReadFile", node("n", "NoOp"))]),
    ),
    "70 in a meta graph that is not served": _operator("'ReadFile'", saved(meta(Y), meta(node("bad", "ReadFile"), tags=["train"]))),
}


def _file(data: bytes) -> Case:
    return Case(data, Reason.EXTERNAL_DATA_INVALID, "and the file it reads is not")


def _restoring(function_: bytes, *nodes: bytes) -> bytes:
    """A model whose variables are restored by another function."""
    restore = node("again", "StatefulPartitionedCall", "saver_filename", calls=["again"])
    return saved(meta(Y, restore, *nodes, functions=[function_], saver=message((1, "saver_filename:0"), (3, "again"))))


_CALL = ("init", "StatefulPartitionedCall")

FILES: dict[str, Case] = {
    "63 variables of any name": _file(_restoring(function("again", node("c", "Const"), node("r", "RestoreV2", "c:output:0")))),
    "63 variables of a name made of the right one": _file(
        _restoring(function("again", node("j", "StringJoin", "p"), node("r", "RestoreV2", "j:output:0"), parameters=["p"]))
    ),
    "63 variables of no name": _file(_restoring(function("again", node("r", "RestoreV2"), parameters=["p"]))),
    "63 variables of another node's name": _file(saved(meta(Y, saver=message((1, "x:0"), (3, "restore"))))),
    "63 variables of a node that is not replaced": _file(
        saved(
            meta(
                Y,
                node("j", "StringJoin"),
                node("r", "StatefulPartitionedCall", "j", calls=["traced_restore"]),
                saver=message((1, "j:0"), (3, "r")),
            )
        )
    ),
    "63 table of any file": _file(with_table(node("c", "Const"), node("init", TABLE, "t", "c"))),
    "63 table of any file, as TensorFlow 1": _file(with_table(node("c", "Const"), node("init", "InitializeTableFromTextFile", "t", "c"))),
    "63 table of any file in a function": _file(
        with_table(node("c", "Const"), node(*_CALL, "c", "t", calls=["create"]), functions=[CREATE])
    ),
    "63 table of no asset": _file(with_table(node("init", TABLE, "t", "a"), assets=())),
    "63 table of a name made of an asset's": _file(with_table(node("j", "StringJoin", "a"), node("init", TABLE, "t", "j"))),
    "63 table of what a file says": _file(with_table(node("l", "LookupTableFindV2", "t", "a"), node("init", TABLE, "t", "l"))),
    "63 table of a file that only a collection calls an asset": _file(
        saved(
            meta(
                *(Y, node("c", "Const"), node("t", "HashTableV2"), node("init", TABLE, "t", "c")),
                assets=["words.txt"],
                collections={"saved_model_main_op": field(1, field(1, "init")), "saved_model_assets": collected("c:0", "words.txt")},
            )
        )
    ),
    "63 table without a name": _file(with_table(node("init", TABLE, "t"))),
    "63 table of a node that is not there": _file(with_table(node("init", TABLE, "t", "nothing"))),
    "63 table of a circle": _file(with_table(node("b", "Identity", "c"), node("c", "Identity", "b"), node("init", TABLE, "t", "b"))),
    "63 table of the wrong parameter": _file(with_table(node(*_CALL, "c", "a", calls=["create"]), node("c", "Const"), functions=[CREATE])),
    "63 table of too few parameters": _file(with_table(node(*_CALL, calls=["create"]), functions=[CREATE])),
    "63 table of a second caller": _file(
        with_table(
            node(*_CALL, "a", "t", "^other", calls=["create"]),
            node("c", "Const"),
            node("other", "PartitionedCall", "c", "t", calls=["create"]),
            functions=[CREATE],
        )
    ),
    "63 table of a parameter after one of several inputs": _file(
        with_table(
            node("c", "Const"),
            node(*_CALL, "t", "a", "c", calls=["create"]),
            functions=[
                message((1, message((1, "create"), (2, message((1, "two"), (5, "N"))), (2, message((1, "path"))))))
                + field(3, node("fill", TABLE, "two", "path"))
            ],
        )
    ),
    "63 table of two parameters of one name": _file(
        with_table(
            node("c", "Const"),
            node(*_CALL, "a", "c", calls=["create"]),
            functions=[function("create", node("fill", TABLE, "table", "path"), parameters=["path", "path"])],
        )
    ),
    "63 table of an asset whose name a request may give": _file(
        saved(
            meta(
                *(Y, node("a", "Const"), node("t", "HashTableV2"), node("init", TABLE, "t", "a")),
                assets=["words.txt"],
                signatures={"s": signature({"x": "a:0"}, {"y": "y:0"}), "__saved_model_init_op": signature({}, {"": "init"})},
            )
        )
    ),
    "63 table in a branch": _file(with_table(node("init", "If", "a", "a", "t", calls=["create"]), functions=[CREATE])),
    "63 table of one function as two": _file(with_table(node(*_CALL, "a", "t", calls=["create", "create"]), functions=[CREATE])),
    "63 table of a node that hides a parameter": _file(
        with_table(
            node(*_CALL, "a", "t", calls=["create"]),
            functions=[function("create", node("path", "Const"), node("fill", TABLE, "table", "path"), parameters=["path", "table"])],
        )
    ),
    "63 table of a variable that is written twice": _file(
        with_table(*VARIABLE, node("c", "Const"), node("again", "AssignVariableOp", "v", "c"), functions=[CREATE])
    ),
    "63 table of a variable that nobody writes": _file(with_table(VARIABLE[0], *VARIABLE[2:], functions=[CREATE])),
    "63 table of a variable that a function has": _file(
        with_table(*VARIABLE, node("give", "PartitionedCall", "v", calls=["take"]), functions=[CREATE, function("take", parameters=["v"])])
    ),
    "63 table of a variable of two names": _file(
        with_table(
            *VARIABLE,
            node("c", "Const"),
            node("w", "VarHandleOp") + entries(5, {"shared_name": field(2, "v")}),
            node("again", "AssignVariableOp", "w", "c"),
            functions=[CREATE],
        )
    ),
    "63 table of a variable of two names, value before key": _file(
        with_table(*VARIABLE, node("w", "VarHandleOp") + field(5, message((2, field(2, "v")), (1, "shared_name"))), functions=[CREATE])
    ),
    "63 table of a variable of two names, hidden by a call's": _file(
        with_table(
            *VARIABLE,
            node("w", "VarHandleOp")
            + entries(5, {"shared_name": field(2, "v"), "x": field(10, entries(2, {"shared_name": field(2, "other")}))}),
            functions=[CREATE],
        )
    ),
    "63 table of a variable of two names, one in a function": _file(
        with_table(*VARIABLE, functions=[CREATE, function("g", node("w", "VarHandleOp") + entries(5, {"shared_name": field(2, "v")}))])
    ),
    "63 table that requests fill": _operator(
        "requests would run it", saved(meta(node("a", "Const"), node("y", TABLE, "t", "a"), assets=["words.txt"]))
    ),
    "63 table that restoring fills": _operator(
        "restoring variables would run it",
        saved(meta(Y, node("a", "Const"), node("r", TABLE, "t", "a"), saver=message((3, "r")), assets=["words.txt"])),
    ),
}

SHAPES: dict[str, Case] = {
    "71 asset ../": _asset("names the asset '../x'", "../x"),
    "71 asset absolute": _asset("names the asset '/etc/passwd'", "/etc/passwd"),
    "71 asset not in the bundle": _asset("the bundle has no assets/other.txt", "other.txt"),
    "71 asset ../ inside": _asset("names the asset 'a/../../x'", "a/../../x"),
    "71 asset without a name": _asset("names the asset ''", ""),
    "71 asset of a collection": Case(
        saved(meta(Y, collections={"saved_model_assets": collected("a:0", "../x")})), Reason.EXTERNAL_DATA_INVALID, "names the asset '../x'"
    ),
    "72 function calls itself": _invalid(
        "the function 'f' calls itself", model(CALL, functions=[function("f", node("c", "PartitionedCall", calls=["f"]))])
    ),
    "72 through another": _invalid(
        "('f' -> 'g' -> 'f')",
        model(
            CALL,
            functions=[function("f", node("c", "PartitionedCall", calls=["g"])), function("g", node("c", "PartitionedCall", calls=["f"]))],
        ),
    ),
    "72 in a branch": _invalid("calls itself", model(CALL, functions=[function("f", node("c", "StatelessCase", branches=["h", "f"]))])),
    "72 in an attribute of a call": _invalid(
        "calls itself",
        model(
            CALL,
            functions=[
                function(
                    "f",
                    message((1, "c"), (2, "While"))
                    + entries(5, {"body": field(10, field(1, "g") + entries(2, {"inner": field(10, field(1, "f"))}))}),
                )
            ],
        ),
    ),
    "72 called by nobody": _invalid("calls itself", model(Y, functions=[function("f", node("c", "PartitionedCall", calls=["f"]))])),
    "72 2^40 nodes": Case(
        model(
            node("y", "PartitionedCall", calls=["f0"]),
            functions=[
                function(
                    f"f{number}",
                    node("a", "PartitionedCall", calls=[f"f{number + 1}"]),
                    node("b", "PartitionedCall", calls=[f"f{number + 1}"]),
                )
                for number in range(40)
            ]
            + [function("f40", node("a", "NoOp"))],
        ),
        Reason.LIMIT_EXCEEDED,
        "nodes when calls are replaced",
    ),
    "70 a function of the name of an allowed operator": _invalid(
        "the function 'Identity' has the name of an operator", model(Y, functions=[function("Identity", node("n", "NoOp"))])
    ),
    "72 defined twice": _invalid("the function 'f' is defined twice", model(Y, functions=[function("f"), function("f")])),
    "72 nested 100 deep": _invalid("nested more than 64 deep", b""),
    "73 no serve tag": _invalid(
        "has 0 graphs with just the tag 'serve', expected 1; the tags of its graphs are train", saved(meta(Y, tags=["train"]))
    ),
    "73 no tag": _invalid("the tags of its graphs are none", saved(meta(Y, tags=[]))),
    "73 no meta graph": _invalid("has 0 graphs", saved()),
    "73 two of them": _invalid("has 2 graphs", saved(meta(Y), meta(Y))),
    "73 more tags": _invalid("gpu, serve", saved(meta(Y, tags=["serve", "gpu"]))),
    "73 tag of control characters": _invalid("\\x1b", saved(meta(Y, tags=["\x1b[31m"]))),
    "two nodes of one name": _invalid("two nodes are named 'y'", model(Y, Y)),
    "schema version 2": _invalid("its schema version is 2, expected 1", saved(meta(Y), version=2)),
    "55 empty": _invalid("its schema version is 0", b""),
    "55 cut off": _invalid("claims", GOOD[:-1]),
    "56 2 GiB": _invalid("field 2 of SavedModel claims 2147483647 bytes", field(1, 1) + tag(2, 2) + varint(2**31 - 1)),
    "56 2 GiB of a constant": _invalid(
        "claims", model(Y, message((1, "c"), (2, "Const")) + field(5, message((1, "value")) + tag(2, 2) + varint(2**31 - 1)))
    ),
    "two graphs": _invalid("field 2 of MetaGraphDef occurs twice", saved(meta(Y) + field(2, field(1, node("bad", "ReadFile"))))),
    "two names of one variable": _invalid(
        "has the attribute shared_name twice",
        model(Y, node("v", "VarHandleOp") + entries(5, {"shared_name": field(2, "a")}) + entries(5, {"shared_name": field(2, "b")})),
    ),
    "two operators of one node": _invalid("field 2 of NodeDef occurs twice", model(Y + field(2, "ReadFile"))),
    "field that does not exist": _invalid("NodeDef has no field 9", model(Y + field(9, "ReadFile"))),
}


def _deep() -> bytes:
    """An attribute in a call in an attribute ..."""
    found = field(10, field(1, "f"))
    for _ in range(40):
        found = field(10, field(1, "f") + entries(2, {"a": found}))
    return model(message((1, "y"), (2, "While")) + entries(5, {"body": found}))


SHAPES["72 nested 100 deep"].data = _deep()

CASES: dict[str, Case] = OPERATORS | FILES | SHAPES
