"""The only input and output with neighbours: one file, one neighbour, one small Protocol, one fake."""
