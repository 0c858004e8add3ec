"""How the SavedModels beside this file were made: with TensorFlow 2.21.0, which is no package of our tests.

`python make.py` in an empty directory of a virtual environment with `tensorflow-cpu==2.21.0`. Each has variables, control flow,
and a table that is filled from an asset. What tells of the machine they were made on is taken out.
"""

from pathlib import Path
from typing import Any

import tensorflow as tf  # type: ignore[import-not-found]
from tensorflow.core.protobuf import saved_model_pb2  # type: ignore[import-not-found]

WORDS = "words.txt"
LINES = (tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER)


class Model(tf.Module):  # type: ignore[misc]
    """As TensorFlow 2 writes it: all code is in functions, the name of the asset in a variable."""

    def __init__(self) -> None:
        self.w = tf.Variable(tf.ones([3, 2]))
        self.table = tf.lookup.StaticVocabularyTable(tf.lookup.TextFileInitializer(WORDS, *LINES), 1)

    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, name="x"), tf.TensorSpec([None], tf.string, name="words")])  # type: ignore[misc]
    def __call__(self, x: Any, words: Any) -> dict[str, Any]:
        y = x @ self.w
        for _ in tf.range(3):
            y = tf.nn.relu(y) + 1.0
        return {"y": y, "ids": self.table.lookup(words)}


def second() -> None:
    model = Model()
    tf.saved_model.save(model, "tf2", signatures=model.__call__)


def first() -> None:
    """As TensorFlow 1 wrote it: one flat graph, assets in a collection, variables by reference."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 3], name="x")
        words = v1.placeholder(tf.string, [None], name="words")
        y = tf.matmul(x, v1.get_variable("w", initializer=tf.ones([3, 2]), use_resource=False))
        y = v1.cond(tf.reduce_sum(y) > 0, lambda: y, lambda: -y)
        ids = v1.lookup.StaticHashTable(v1.lookup.TextFileInitializer(WORDS, *LINES), -1).lookup(words)
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        signature = v1.saved_model.predict_signature_def({"x": x, "words": words}, {"y": y, "ids": ids})
        builder = v1.saved_model.Builder("tf1")
        assets = v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS)
        more = {"main_op": v1.tables_initializer(), "assets_collection": assets}
        builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature}, **more)
        builder.save()


def clean(name: str) -> None:
    """Without the file names of the machine, and without the descriptions of operators, which are large."""
    model = saved_model_pb2.SavedModel.FromString(Path(name, "saved_model.pb").read_bytes())
    for meta in model.meta_graphs:
        meta.graph_def.ClearField("debug_info")
        meta.meta_info_def.ClearField("stripped_op_list")
        for node in [*meta.graph_def.node, *(node for each in meta.graph_def.library.function for node in each.node_def)]:
            node.ClearField("experimental_debug_info")
    Path(f"{name}.pb").write_bytes(model.SerializeToString(deterministic=True))


if __name__ == "__main__":
    Path(WORDS).write_text("a\nb\n", encoding="utf-8")
    second()
    first()
    clean("tf1")
    clean("tf2")
