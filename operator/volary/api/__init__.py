"""The custom resource as types: the one source of CRD, chart and reference page. Pure."""
