"""The ONNX Runtime server: Open Inference Protocol over HTTP. Imports bundle and common only."""
