"""A stand-in for TensorFlow Serving's `tensorflow_model_server`, which no package carries.

It has the flags, ports, paths, states, labels, error bodies and metric names of version 2.20 as far as
Volary relies on them, and no TensorFlow: a SavedModel's answers come from an ONNX twin of the model in
`assets.extra/twin.onnx`. `tests/unit/tfserving` says each fact by a test's name; `TFSERVING_BINARY` runs
those that need no twin against the real program. gRPC: the port opens, and nothing answers on it.
"""
